//! What grants need across restarts: sessions in use, what was revoked, and which issuers' tokens were
//! exchanged. What any of it means is the gate's business.

use sqlx::{AnyConnection, Row};

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
pub struct RevocationMark {
    revocations: i64,
    secrets: i64,
}

/// The number of a revocation, of those of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation(i64);

/// The row of `grant_epochs` that counts every revocation. No subject has no name.
const EVERYTHING: &str = "";
/// Ended sessions that had begun are remembered for so long: longer than any grant may wait for its first
/// use (a week), so that none begins anew.
const ENDED_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

impl RevocationMark {
    /// Takes a revocation of our own along, unless others came before it that we have not seen.
    pub fn follow(&mut self, own: Revocation) {
        if own.0 == self.revocations + 1 {
            self.revocations = own.0;
        }
    }
}

impl Store {
    /// Keeps the last uses of sessions, and forgets those last used before `forget_ms`, and what was ended so
    /// long ago that it does not matter.
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
                     ON CONFLICT (id) DO UPDATE SET used_ms = excluded.used_ms \
                     WHERE grant_sessions.revoked = 0",
                )
                .bind(session.id.as_str())
                .bind(session.used_ms)
                .execute(&mut *transaction)
                .await?;
            }
            for (revoked, before_ms) in [(0_i64, forget_ms), (2, unix_ms() - ENDED_KEPT_MS)] {
                sqlx::query("DELETE FROM grant_sessions WHERE revoked = $1 AND used_ms < $2")
                    .bind(revoked)
                    .bind(before_ms)
                    .execute(&mut *transaction)
                    .await?;
            }
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
    pub async fn revoke_session(&self, id: &str) -> Result<Revocation, Error> {
        let db = &self.0.db;
        let now_ms = unix_ms();
        db.run("revoking a session", async {
            let mut transaction = db.pool.begin().await?;
            sqlx::query(
                "INSERT INTO grant_sessions (id, used_ms, revoked) VALUES ($1, $2, 1) \
                 ON CONFLICT (id) DO UPDATE SET used_ms = excluded.used_ms, \
                 revoked = CASE grant_sessions.revoked WHEN 1 THEN 1 ELSE 2 END",
            )
            .bind(id)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
            let count = raise(&mut transaction, EVERYTHING, now_ms).await?;
            transaction.commit().await?;
            Ok(Revocation(count))
        })
        .await
    }

    /// Ends everything that hangs on `subject` now. Its new epoch.
    ///
    /// # Errors
    /// A database that fails; then nothing ends.
    pub async fn raise_epoch(&self, subject: &str) -> Result<(StoredEpoch, Revocation), Error> {
        let db = &self.0.db;
        db.run("revoking", async {
            let mut transaction = db.pool.begin().await?;
            let revoked = revoke(&mut transaction, subject).await?;
            transaction.commit().await?;
            Ok(revoked)
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
            let rows = sqlx::query(
                "SELECT subject, epoch, changed_ms FROM grant_epochs WHERE subject <> $1",
            )
            .bind(EVERYTHING)
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
                "SELECT (SELECT CAST(COALESCE(SUM(epoch), 0) AS BIGINT) FROM grant_epochs \
                 WHERE subject = $1) AS revocations, \
                 (SELECT CAST(COALESCE(SUM(id), 0) AS BIGINT) FROM secrets) AS secrets",
            )
            .bind(EVERYTHING)
            .fetch_one(&db.pool)
            .await?;
            Ok(RevocationMark {
                revocations: row.try_get("revocations")?,
                secrets: row.try_get("secrets")?,
            })
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

/// Ends everything that hangs on `subject`, as part of a transaction.
pub(crate) async fn revoke(
    connection: &mut AnyConnection,
    subject: &str,
) -> Result<(StoredEpoch, Revocation), sqlx::Error> {
    let changed_ms = unix_ms();
    let epoch = StoredEpoch {
        subject: subject.to_owned(),
        epoch: raise(connection, subject, changed_ms).await?,
        changed_ms,
    };
    let count = raise(connection, EVERYTHING, changed_ms).await?;
    Ok((epoch, Revocation(count)))
}

/// The new epoch of a subject.
async fn raise(
    connection: &mut AnyConnection,
    subject: &str,
    changed_ms: i64,
) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO grant_epochs (subject, epoch, changed_ms) VALUES ($1, 1, $2) \
         ON CONFLICT (subject) DO UPDATE \
         SET epoch = grant_epochs.epoch + 1, changed_ms = excluded.changed_ms \
         RETURNING epoch",
    )
    .bind(subject)
    .bind(changed_ms)
    .fetch_one(connection)
    .await?;
    row.try_get("epoch")
}
