//! What was registered of private libraries. Definitions are opaque here.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::{Error, Store, unix_ms};

/// How many assets a store holds.
pub const ASSETS_MAX: usize = 100_000;
/// How many of them one page of a list has.
pub const ASSETS_PAGE: usize = 100;
/// How long an asset's definition may be.
const DEFINITION_BYTES_MAX: usize = 64 * 1024;

/// An asset as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAsset {
    /// Its id, a UUID.
    pub id: String,
    /// Its library's id.
    pub library: String,
    /// What it is found by when the library is scanned again; unique in the library.
    pub location: String,
    /// Its short name, unique.
    pub slug: Option<String>,
    /// What it is searched by.
    pub name: String,
    /// JSON.
    pub definition: String,
    /// When it was registered, in milliseconds since the Unix epoch. Not read when it is put.
    pub created_ms: i64,
}

/// What became of an asset that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    New,
    /// The library has this one at the same place.
    SamePlace(String),
    /// This one has the slug.
    SameSlug(String),
    /// There is none of this id, so that it cannot be changed.
    Missing,
}

impl Store {
    /// Keeps a new asset, unless its place or its slug is taken.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`ASSETS_MAX`]; a database that fails.
    pub async fn add_asset(&self, asset: &StoredAsset) -> Result<Kept, Error> {
        check(asset)?;
        let db = &self.0.db;
        let insert = sqlx::query(
            "INSERT INTO assets (id, library, location, slug, folded, definition, created_ms, \
             updated_ms) SELECT $1, $2, $3, $4, $5, $6, $7, $7 \
             WHERE (SELECT COUNT(*) FROM assets) < $8 ON CONFLICT DO NOTHING",
        )
        .bind(asset.id.as_str())
        .bind(asset.library.as_str())
        .bind(asset.location.as_str())
        .bind(asset.slug.clone())
        .bind(asset.name.to_lowercase())
        .bind(asset.definition.as_str())
        .bind(unix_ms())
        .bind(ASSETS_MAX as i64)
        .execute(&db.pool);
        if db.run("keeping an asset", insert).await?.rows_affected() > 0 {
            return Ok(Kept::New);
        }
        self.taken(asset).await?.ok_or(Error::TooLarge {
            what: "assets",
            max: ASSETS_MAX,
        })
    }

    /// Changes an asset, unless its new place or slug is taken.
    ///
    /// # Errors
    /// A database that fails; then nothing is changed.
    pub async fn change_asset(&self, asset: &StoredAsset) -> Result<Kept, Error> {
        check(asset)?;
        if let Some(taken) = self.taken(asset).await? {
            return Ok(taken);
        }
        let db = &self.0.db;
        let update = sqlx::query(
            "UPDATE assets SET library = $2, location = $3, slug = $4, folded = $5, \
             definition = $6, updated_ms = $7 WHERE id = $1",
        )
        .bind(asset.id.as_str())
        .bind(asset.library.as_str())
        .bind(asset.location.as_str())
        .bind(asset.slug.clone())
        .bind(asset.name.to_lowercase())
        .bind(asset.definition.as_str())
        .bind(unix_ms())
        .execute(&db.pool);
        match db.run("changing an asset", update).await?.rows_affected() {
            0 => Ok(Kept::Missing),
            _ => Ok(Kept::New),
        }
    }

    /// An asset by its id or its slug.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn asset(&self, id_or_slug: &str) -> Result<Option<StoredAsset>, Error> {
        let db = &self.0.db;
        db.run("reading an asset", async {
            let row = sqlx::query(select("WHERE id = $1 OR slug = $1 LIMIT 1"))
                .bind(id_or_slug)
                .fetch_optional(&db.pool)
                .await?;
            row.as_ref().map(stored).transpose()
        })
        .await
    }

    /// An asset by its place.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn asset_at(
        &self,
        library: &str,
        location: &str,
    ) -> Result<Option<StoredAsset>, Error> {
        let db = &self.0.db;
        db.run("reading an asset", async {
            let row = sqlx::query(select("WHERE library = $1 AND location = $2"))
                .bind(library)
                .bind(location)
                .fetch_optional(&db.pool)
                .await?;
            row.as_ref().map(stored).transpose()
        })
        .await
    }

    /// A page of those whose name holds `query`, newest first; `after` is the last one of the page
    /// before.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn assets(
        &self,
        query: &str,
        after: Option<(i64, &str)>,
    ) -> Result<Vec<StoredAsset>, Error> {
        let (created_ms, id) = after.unwrap_or((i64::MAX, ""));
        let db = &self.0.db;
        db.run("reading the assets", async {
            let rows = sqlx::query(select(
                "WHERE folded LIKE $1 ESCAPE '!' AND (created_ms < $2 OR (created_ms = $2 AND id > $3)) \
                 ORDER BY created_ms DESC, id LIMIT $4",
            ))
            .bind(pattern(query))
            .bind(created_ms)
            .bind(id)
            .bind(ASSETS_PAGE as i64)
            .fetch_all(&db.pool)
            .await?;
            rows.iter().map(stored).collect()
        })
        .await
    }

    /// Forgets an asset and its shares. `false` if there was none.
    ///
    /// # Errors
    /// A database that fails; then nothing is forgotten.
    pub async fn delete_asset(&self, id: &str) -> Result<bool, Error> {
        let db = &self.0.db;
        db.run("deleting an asset", async {
            let mut transaction = db.pool.begin().await?;
            for statement in [
                "DELETE FROM share_activity WHERE share IN (SELECT token FROM shares WHERE asset = $1)",
                "DELETE FROM shares WHERE asset = $1",
            ] {
                sqlx::query(statement)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            }
            let deleted = sqlx::query("DELETE FROM assets WHERE id = $1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }

    /// Which other asset has this one's place or slug.
    async fn taken(&self, asset: &StoredAsset) -> Result<Option<Kept>, Error> {
        let there = self.asset_at(&asset.library, &asset.location).await?;
        if let Some(other) = there.filter(|other| other.id != asset.id) {
            return Ok(Some(Kept::SamePlace(other.id)));
        }
        let Some(slug) = &asset.slug else {
            return Ok(None);
        };
        let named = self.asset(slug).await?;
        let other = named.filter(|other| other.id != asset.id);
        Ok(other.map(|other| Kept::SameSlug(other.id)))
    }
}

fn check(asset: &StoredAsset) -> Result<(), Error> {
    if asset.definition.len() > DEFINITION_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "bytes of an asset's definition",
            max: DEFINITION_BYTES_MAX,
        });
    }
    let texts = [&asset.location, &asset.name, &asset.definition];
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Error::Invalid {
            what: "an asset",
            reason: "holds a NUL",
        });
    }
    Ok(())
}

fn select(rest: &'static str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "SELECT id, library, location, slug, folded, definition, created_ms FROM assets {rest}"
    ))
}

/// Matches what holds `query`, in which no character has a meaning of its own.
fn pattern(query: &str) -> String {
    let mut pattern = String::from("%");
    for c in query.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn stored(row: &AnyRow) -> Result<StoredAsset, sqlx::Error> {
    Ok(StoredAsset {
        id: row.try_get("id")?,
        library: row.try_get("library")?,
        location: row.try_get("location")?,
        slug: row.try_get("slug")?,
        name: row.try_get("folded")?,
        definition: row.try_get("definition")?,
        created_ms: row.try_get("created_ms")?,
    })
}
