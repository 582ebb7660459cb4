//! Posts that were submitted: who they are, their documents, and what became of them. What a state means
//! is none of this crate's business.

use base::Redacted;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::{Error, Store, unix_ms};

/// How many imports a store holds.
pub const IMPORTS_MAX: usize = 100_000;
/// How long a gzipped document may be.
pub const NZB_BYTES_MAX: usize = 100 << 20;
/// How long a detail may be: some ten thousand files.
const DETAIL_BYTES_MAX: usize = 8 << 20;
/// How long the notes of an import may be.
const NOTES_BYTES_MAX: usize = 1 << 20;

const COLUMNS: &str = "id, content, name, category, password, state, detail, created_ms, updated_ms, used_ms, \
     kept";

/// A post to be kept.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// Who it is; equal posts have one import.
    pub content: String,
    /// What it is called.
    pub name: String,
    /// Where it is put.
    pub category: String,
    /// What opens it.
    pub password: Option<Redacted<String>>,
    /// The document, gzipped.
    pub nzb: Vec<u8>,
    /// Its first state.
    pub state: &'static str,
}

/// A post that is kept, without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImport {
    /// Its number, never used again.
    pub id: i64,
    /// Who it is.
    pub content: String,
    /// What it is called.
    pub name: String,
    /// Where it is put.
    pub category: String,
    /// What opens it.
    pub password: Option<Redacted<String>>,
    /// How far it came.
    pub state: String,
    /// What is known of it.
    pub detail: String,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When its state was last set.
    pub updated_ms: i64,
    /// When it was last submitted or read.
    pub used_ms: i64,
    /// Whether it is kept whatever its age.
    pub is_kept: bool,
}

impl Store {
    /// Keeps a post; gives its number, and whether it is new. An equal post that is kept already stays as
    /// it is.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`IMPORTS_MAX`] or [`NZB_BYTES_MAX`]; a database that fails.
    pub async fn accept_import(&self, import: &NewImport) -> Result<(i64, bool), Error> {
        if import.nzb.len() > NZB_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "bytes of a gzipped nzb",
                max: NZB_BYTES_MAX,
            });
        }
        no_nul("an import's name", &import.name)?;
        no_nul("an import's category", &import.category)?;
        let password = import.password.as_ref().map_or("", |p| p.expose().as_str());
        no_nul("an import's password", password)?;
        let db = &self.0.db;
        let accepted = db.run("accepting an import", async {
            let mut transaction = db.pool.begin().await?;
            // First the number: its row is what two that come at once wait for.
            let number: i64 = sqlx::query(
                "UPDATE import_numbers SET next = next + 1 RETURNING next - 1 AS number",
            )
            .fetch_one(&mut *transaction)
            .await?
            .try_get("number")?;
            let known = sqlx::query("SELECT id FROM imports WHERE content = $1")
                .bind(&import.content)
                .fetch_optional(&mut *transaction)
                .await?;
            if let Some(row) = known {
                // The transaction is rolled back: the number is free again.
                return Ok(Some((row.try_get("id")?, false)));
            }
            let kept = sqlx::query(
                "INSERT INTO imports (id, content, name, category, password, nzb, state, detail, \
                 created_ms, updated_ms, used_ms, kept) \
                 SELECT $1, $2, $3, $4, $5, $6, $7, '', $8, $8, $8, 0 \
                 WHERE (SELECT COUNT(*) FROM imports) < $9",
            )
            .bind(number)
            .bind(&import.content)
            .bind(&import.name)
            .bind(&import.category)
            .bind(password)
            .bind(&import.nzb)
            .bind(import.state)
            .bind(unix_ms())
            .bind(IMPORTS_MAX as i64)
            .execute(&mut *transaction)
            .await?;
            if kept.rows_affected() == 0 {
                return Ok(None);
            }
            transaction.commit().await?;
            Ok(Some((number, true)))
        });
        accepted.await?.ok_or(Error::TooLarge {
            what: "imports",
            max: IMPORTS_MAX,
        })
    }

    /// Sets how far an import came and what is known of it. One that was deleted stays so.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a detail of more than 8 MiB; a database that fails.
    pub async fn set_import_state(&self, id: i64, state: &str, detail: &str) -> Result<(), Error> {
        if detail.len() > DETAIL_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "bytes of an import's detail",
                max: DETAIL_BYTES_MAX,
            });
        }
        let db = &self.0.db;
        let set = sqlx::query(
            "UPDATE imports SET state = $2, detail = $3, updated_ms = $4 WHERE id = $1",
        )
        .bind(id)
        .bind(state)
        .bind(detail)
        .bind(unix_ms())
        .execute(&db.pool);
        db.run("saving an import", set).await.map(drop)
    }

    /// Gives an import another name and category.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a NUL; a database that fails.
    pub async fn rename_import(&self, id: i64, category: &str, name: &str) -> Result<(), Error> {
        no_nul("an import's name", name)?;
        no_nul("an import's category", category)?;
        let db = &self.0.db;
        let set = sqlx::query("UPDATE imports SET category = $2, name = $3 WHERE id = $1")
            .bind(id)
            .bind(category)
            .bind(name)
            .execute(&db.pool);
        db.run("renaming an import", set).await.map(drop)
    }

    /// Gives an import another password.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a NUL; a database that fails.
    pub async fn set_import_password(
        &self,
        id: i64,
        password: &Redacted<String>,
    ) -> Result<(), Error> {
        no_nul("an import's password", password.expose())?;
        let db = &self.0.db;
        let set = sqlx::query("UPDATE imports SET password = $2 WHERE id = $1")
            .bind(id)
            .bind(password.expose())
            .execute(&db.pool);
        db.run("saving an import", set).await.map(drop)
    }

    /// Notes when an import was last used, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn touch_import(&self, id: i64, used_ms: i64) -> Result<(), Error> {
        let db = &self.0.db;
        let set = sqlx::query("UPDATE imports SET used_ms = $2 WHERE id = $1")
            .bind(id)
            .bind(used_ms)
            .execute(&db.pool);
        db.run("saving an import", set).await.map(drop)
    }

    /// Sets whether an import is kept whatever its age.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn keep_import(&self, id: i64, is_kept: bool) -> Result<(), Error> {
        let db = &self.0.db;
        let set = sqlx::query("UPDATE imports SET kept = $2 WHERE id = $1")
            .bind(id)
            .bind(i64::from(is_kept))
            .execute(&db.pool);
        db.run("saving an import", set).await.map(drop)
    }

    /// Keeps what those who show an import note of it, until it is deleted.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 1 MiB; a database that fails.
    pub async fn set_import_notes(&self, id: i64, notes: &str) -> Result<(), Error> {
        if notes.len() > NOTES_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "bytes of an import's notes",
                max: NOTES_BYTES_MAX,
            });
        }
        no_nul("an import's notes", notes)?;
        let db = &self.0.db;
        let set = sqlx::query("UPDATE imports SET notes = $2 WHERE id = $1")
            .bind(id)
            .bind(notes)
            .execute(&db.pool);
        db.run("saving an import", set).await.map(drop)
    }

    /// The imports' notes that are not empty, by number.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn import_notes(&self) -> Result<Vec<(i64, String)>, Error> {
        let db = &self.0.db;
        db.run("reading the imports", async {
            let query = sqlx::query("SELECT id, notes FROM imports WHERE notes <> '' ORDER BY id");
            let rows = query.fetch_all(&db.pool).await?;
            let notes = |row: &AnyRow| Ok((row.try_get("id")?, row.try_get("notes")?));
            rows.iter().map(notes).collect()
        })
        .await
    }

    /// Forgets an import. `false` if there is none.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn delete_import(&self, id: i64) -> Result<bool, Error> {
        let db = &self.0.db;
        let deleted = sqlx::query("DELETE FROM imports WHERE id = $1")
            .bind(id)
            .execute(&db.pool);
        let deleted = db.run("deleting an import", deleted).await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// All imports, by number, without their documents.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn imports(&self) -> Result<Vec<StoredImport>, Error> {
        let db = &self.0.db;
        db.run("reading the imports", async {
            let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM imports ORDER BY id"));
            let rows = sqlx::query(query).fetch_all(&db.pool).await?;
            rows.iter().map(stored).collect()
        })
        .await
    }

    /// An import's document, gzipped; `None` if there is no such import.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn import_nzb(&self, id: i64) -> Result<Option<Vec<u8>>, Error> {
        let db = &self.0.db;
        db.run("reading an import", async {
            let row = sqlx::query("SELECT nzb FROM imports WHERE id = $1")
                .bind(id)
                .fetch_optional(&db.pool)
                .await?;
            row.map(|row| row.try_get("nzb")).transpose()
        })
        .await
    }
}

fn stored(row: &AnyRow) -> Result<StoredImport, sqlx::Error> {
    let password: String = row.try_get("password")?;
    Ok(StoredImport {
        id: row.try_get("id")?,
        content: row.try_get("content")?,
        name: row.try_get("name")?,
        category: row.try_get("category")?,
        password: (!password.is_empty()).then(|| Redacted::new(password)),
        state: row.try_get("state")?,
        detail: row.try_get("detail")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        used_ms: row.try_get("used_ms")?,
        is_kept: row.try_get::<i64, _>("kept")? != 0,
    })
}

fn no_nul(what: &'static str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::Invalid {
            what,
            reason: "holds a NUL",
        });
    }
    Ok(())
}
