//! Secrets of our own, made at first use: what signs grants and tokens, and what references are made with.

use base::Redacted;
use sqlx::Row;

use crate::{Error, Store, unix_ms};

/// Bytes of a secret.
pub const SECRET_LENGTH: usize = 32;
/// Secrets of one purpose that are kept: the newest signs, the others still verify.
pub const SECRETS_MAX: usize = 4;

/// A secret that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// Higher is newer.
    pub id: i64,
    /// Random bytes.
    pub secret: Redacted<[u8; SECRET_LENGTH]>,
}

impl Store {
    /// The secrets of a purpose, newest first; the first is made where there is none.
    ///
    /// # Errors
    /// A database that fails, or no random bytes.
    pub async fn secrets(&self, purpose: &str) -> Result<Vec<StoredSecret>, Error> {
        let found = self.read_secrets(purpose).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        self.put_secret(purpose, 1).await?;
        self.read_secrets(purpose).await
    }

    /// Adds a secret, which signs from now on; the oldest beyond [`SECRETS_MAX`] go.
    ///
    /// # Errors
    /// A database that fails, or no random bytes.
    pub async fn add_secret(&self, purpose: &str) -> Result<(), Error> {
        let newest = self.secrets(purpose).await?.first().map_or(0, |s| s.id);
        self.put_secret(purpose, newest + 1).await?;
        let db = &self.0.db;
        let delete = sqlx::query("DELETE FROM secrets WHERE purpose = $1 AND id <= $2")
            .bind(purpose)
            .bind(newest + 1 - SECRETS_MAX as i64)
            .execute(&db.pool);
        db.run("deleting old secrets", delete).await?;
        Ok(())
    }

    async fn put_secret(&self, purpose: &str, id: i64) -> Result<(), Error> {
        let mut secret = [0; SECRET_LENGTH];
        getrandom::fill(&mut secret).map_err(Error::Random)?;
        let db = &self.0.db;
        // Of two processes that begin at once, the first one's stays.
        let put = sqlx::query(
            "INSERT INTO secrets (purpose, id, secret, created_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (purpose, id) DO NOTHING",
        )
        .bind(purpose)
        .bind(id)
        .bind(secret.to_vec())
        .bind(unix_ms())
        .execute(&db.pool);
        db.run("keeping a secret", put).await?;
        Ok(())
    }

    async fn read_secrets(&self, purpose: &str) -> Result<Vec<StoredSecret>, Error> {
        let db = &self.0.db;
        db.run("reading secrets", async {
            let rows =
                sqlx::query("SELECT id, secret FROM secrets WHERE purpose = $1 ORDER BY id DESC")
                    .bind(purpose)
                    .fetch_all(&db.pool)
                    .await?;
            rows.iter()
                .map(|row| {
                    let secret: &[u8] = row.try_get("secret")?;
                    let secret = secret
                        .try_into()
                        .map_err(|_| sqlx::Error::Decode("a secret has not 32 bytes".into()))?;
                    Ok(StoredSecret {
                        id: row.try_get("id")?,
                        secret: Redacted::new(secret),
                    })
                })
                .collect()
        })
        .await
    }
}
