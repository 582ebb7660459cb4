//! What resolvers remember. Opaque here.

use base::Redacted;
use sqlx::Row;

use crate::{Error, Store, unix_ms};

/// How long a resolver's memory may be.
pub const MEMORY_BYTES_MAX: usize = 8 << 20;

impl Store {
    /// Keeps what a resolver remembers, in place of what it did before.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`MEMORY_BYTES_MAX`]; a database that fails.
    pub async fn put_resolver(&self, id: &str, memory: &str) -> Result<(), Error> {
        if memory.len() > MEMORY_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "bytes of a resolver's memory",
                max: MEMORY_BYTES_MAX,
            });
        }
        if memory.contains('\0') {
            return Err(Error::Invalid {
                what: "a resolver's memory",
                reason: "holds a NUL",
            });
        }
        let db = &self.0.db;
        let put = sqlx::query(
            "INSERT INTO resolvers (id, memory, updated_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET memory = excluded.memory, updated_ms = excluded.updated_ms",
        )
        .bind(id)
        .bind(memory)
        .bind(unix_ms())
        .execute(&db.pool);
        db.run("keeping a resolver's memory", put).await.map(|_| ())
    }

    /// What a resolver remembers; `None` if it never ran, or was forgotten.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn resolver(&self, id: &str) -> Result<Option<Redacted<String>>, Error> {
        let db = &self.0.db;
        db.run("reading a resolver's memory", async {
            let row = sqlx::query("SELECT memory FROM resolvers WHERE id = $1")
                .bind(id)
                .fetch_optional(&db.pool)
                .await?;
            row.map(|row| row.try_get("memory").map(Redacted::new))
                .transpose()
        })
        .await
    }

    /// Forgets resolvers of any other id: those that the configuration has no longer.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn keep_resolvers(&self, ids: &[String]) -> Result<(), Error> {
        let db = &self.0.db;
        db.run("forgetting resolvers", async {
            let rows = sqlx::query("SELECT id FROM resolvers")
                .fetch_all(&db.pool)
                .await?;
            for row in &rows {
                let id: String = row.try_get("id")?;
                if !ids.contains(&id) {
                    sqlx::query("DELETE FROM resolvers WHERE id = $1")
                        .bind(id)
                        .execute(&db.pool)
                        .await?;
                }
            }
            Ok(())
        })
        .await
    }
}
