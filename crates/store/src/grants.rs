//! What grants need across restarts: sessions in use, what was revoked, and which issuers' tokens were
//! exchanged. What any of it means is the gate's business.

use sqlx::Row;

use crate::{Error, Store, unix_ms};

/// A session's last use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Which.
    pub id: String,
    /// In milliseconds since the Unix epoch.
    pub used_ms: i64,
}

/// How often a subject was revoked, and when last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEpoch {
    /// What.
    pub subject: String,
    /// From 1.
    pub epoch: i64,
    /// In milliseconds since the Unix epoch.
    pub changed_ms: i64,
}

/// Differs from an earlier one if anything was revoked, or a secret was added, in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevocationMark(i64, i64, i64);

impl Store {
    /// Keeps the last uses of sessions, and forgets those last used before `forget_ms`.
    ///
    /// # Errors
    /// A database that fails; then none is kept.
    pub async fn save_sessions(
        &self,
        sessions: &[StoredSession],
        forget_ms: i64,
    ) -> Result<(), Error> {
        let db = &self.0.db;
        db.run("saving sessions", async {
            let mut transaction = db.pool.begin().await?;
            for session in sessions {
                sqlx::query(
                    "INSERT INTO grant_sessions (id, used_ms, revoked) VALUES ($1, $2, 0) \
                     ON CONFLICT (id) DO UPDATE SET used_ms = excluded.used_ms",
                )
                .bind(session.id.as_str())
                .bind(session.used_ms)
                .execute(&mut *transaction)
                .await?;
            }
            sqlx::query("DELETE FROM grant_sessions WHERE revoked = 0 AND used_ms < $1")
                .bind(forget_ms)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        })
        .await
    }

    /// Sessions that were not ended, and those that were.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn sessions(&self) -> Result<(Vec<StoredSession>, Vec<String>), Error> {
        let db = &self.0.db;
        db.run("reading sessions", async {
            let rows = sqlx::query("SELECT id, used_ms, revoked FROM grant_sessions")
                .fetch_all(&db.pool)
                .await?;
            let (mut running, mut revoked) = (Vec::new(), Vec::new());
            for row in rows {
                let id = row.try_get("id")?;
                if row.try_get::<i64, _>("revoked")? == 0 {
                    let used_ms = row.try_get("used_ms")?;
                    running.push(StoredSession { id, used_ms });
                } else {
                    revoked.push(id);
                }
            }
            Ok((running, revoked))
        })
        .await
    }

    /// Ends a session for good.
    ///
    /// # Errors
    /// A database that fails; then it goes on.
    pub async fn revoke_session(&self, id: &str) -> Result<(), Error> {
        let db = &self.0.db;
        let put = sqlx::query(
            "INSERT INTO grant_sessions (id, used_ms, revoked) VALUES ($1, $2, 1) \
             ON CONFLICT (id) DO UPDATE SET revoked = 1",
        )
        .bind(id)
        .bind(unix_ms())
        .execute(&db.pool);
        db.run("revoking a session", put).await?;
        Ok(())
    }

    /// Ends everything that hangs on `subject` now. Its new epoch.
    ///
    /// # Errors
    /// A database that fails; then nothing ends.
    pub async fn raise_epoch(&self, subject: &str) -> Result<StoredEpoch, Error> {
        let db = &self.0.db;
        let changed_ms = unix_ms();
        db.run("revoking", async {
            let row = sqlx::query(
                "INSERT INTO grant_epochs (subject, epoch, changed_ms) VALUES ($1, 1, $2) \
                 ON CONFLICT (subject) DO UPDATE \
                 SET epoch = grant_epochs.epoch + 1, changed_ms = excluded.changed_ms \
                 RETURNING epoch",
            )
            .bind(subject)
            .bind(changed_ms)
            .fetch_one(&db.pool)
            .await?;
            Ok(StoredEpoch {
                subject: subject.to_owned(),
                epoch: row.try_get("epoch")?,
                changed_ms,
            })
        })
        .await
    }

    /// Every subject that was ever revoked.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn epochs(&self) -> Result<Vec<StoredEpoch>, Error> {
        let db = &self.0.db;
        db.run("reading revocations", async {
            let rows = sqlx::query("SELECT subject, epoch, changed_ms FROM grant_epochs")
                .fetch_all(&db.pool)
                .await?;
            rows.iter()
                .map(|row| {
                    Ok(StoredEpoch {
                        subject: row.try_get("subject")?,
                        epoch: row.try_get("epoch")?,
                        changed_ms: row.try_get("changed_ms")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// Tells whether another process revoked something. Costs one small query.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn revocation_mark(&self) -> Result<RevocationMark, Error> {
        let db = &self.0.db;
        db.run("looking for revocations", async {
            let row = sqlx::query(
                "SELECT (SELECT COUNT(*) FROM grant_sessions WHERE revoked = 1) AS revoked, \
                 (SELECT CAST(COALESCE(SUM(epoch), 0) AS BIGINT) FROM grant_epochs) AS epochs, \
                 (SELECT CAST(COALESCE(SUM(id), 0) AS BIGINT) FROM secrets) AS secrets",
            )
            .fetch_one(&db.pool)
            .await?;
            Ok(RevocationMark(
                row.try_get("revoked")?,
                row.try_get("epochs")?,
                row.try_get("secrets")?,
            ))
        })
        .await
    }

    /// Notes that an issuer's token was exchanged. `false` if it was before. Forgets those that have
    /// expired.
    ///
    /// # Errors
    /// A database that fails; then nothing is noted.
    pub async fn exchange_once(&self, token: &str, until_ms: i64) -> Result<bool, Error> {
        let db = &self.0.db;
        db.run("exchanging a token", async {
            let mut transaction = db.pool.begin().await?;
            sqlx::query("DELETE FROM grant_exchanges WHERE until_ms < $1")
                .bind(unix_ms())
                .execute(&mut *transaction)
                .await?;
            let put = sqlx::query(
                "INSERT INTO grant_exchanges (token, until_ms) VALUES ($1, $2) \
                 ON CONFLICT (token) DO NOTHING",
            )
            .bind(token)
            .bind(until_ms)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(put.rows_affected() > 0)
        })
        .await
    }
}
