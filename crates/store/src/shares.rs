//! Links to assets, how often each was viewed, and by whom. Definitions are opaque here.

use base::Redacted;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use crate::grants::{Revocation, StoredEpoch, revoke};
use crate::{Error, Store, unix_ms};

/// How many shares a store holds.
pub const SHARES_MAX: usize = 100_000;
/// How many of one share's views and downloads are kept, the newest.
pub const ACTIVITY_MAX: usize = 1000;

/// A share as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShare {
    /// The secret of its link.
    pub token: Redacted<String>,
    /// The asset's id.
    pub asset: String,
    /// JSON; holds the hash of a password.
    pub definition: Redacted<String>,
    /// How often it was viewed. Not read when it is put.
    pub views: i64,
    /// How often it may be; 0 for as often as one likes.
    pub max_views: i64,
    /// When it was made, in milliseconds since the Unix epoch. Not read when it is put.
    pub created_ms: i64,
}

/// A view or a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// `viewed` or `downloaded`.
    pub action: String,
    /// Who, as far as it is known.
    pub viewer: String,
}

impl Store {
    /// Keeps a new share.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`SHARES_MAX`]; a database that fails.
    pub async fn add_share(&self, share: &StoredShare) -> Result<(), Error> {
        let db = &self.0.db;
        let insert = sqlx::query(
            "INSERT INTO shares (token, asset, definition, views, max_views, created_ms) \
             SELECT $1, $2, $3, 0, $4, $5 WHERE (SELECT COUNT(*) FROM shares) < $6",
        )
        .bind(share.token.expose().as_str())
        .bind(share.asset.as_str())
        .bind(share.definition.expose().as_str())
        .bind(share.max_views)
        .bind(unix_ms())
        .bind(SHARES_MAX as i64)
        .execute(&db.pool);
        match db.run("keeping a share", insert).await?.rows_affected() {
            0 => Err(Error::TooLarge {
                what: "shares",
                max: SHARES_MAX,
            }),
            _ => Ok(()),
        }
    }

    /// Changes a share's definition and limit. `false` if there is none.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn change_share(&self, share: &StoredShare) -> Result<bool, Error> {
        let db = &self.0.db;
        let update = update(share).execute(&db.pool);
        Ok(db.run("changing a share", update).await?.rows_affected() > 0)
    }

    /// As [`Store::change_share`], and ends everything that hangs on `subject`, which is the share. `None` if
    /// there is none.
    ///
    /// # Errors
    /// A database that fails; then it is as it was.
    pub async fn narrow_share(
        &self,
        share: &StoredShare,
        subject: &str,
    ) -> Result<Option<(StoredEpoch, Revocation)>, Error> {
        let db = &self.0.db;
        db.run("changing a share", async {
            let mut transaction = db.pool.begin().await?;
            let updated = update(share).execute(&mut *transaction).await?;
            if updated.rows_affected() == 0 {
                return Ok(None);
            }
            let revoked = revoke(&mut transaction, subject).await?;
            transaction.commit().await?;
            Ok(Some(revoked))
        })
        .await
    }

    /// A share by its token.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn share(&self, token: &str) -> Result<Option<StoredShare>, Error> {
        let db = &self.0.db;
        db.run("reading a share", async {
            let row = sqlx::query(
                "SELECT token, asset, definition, views, max_views, created_ms FROM shares \
                 WHERE token = $1",
            )
            .bind(token)
            .fetch_optional(&db.pool)
            .await?;
            row.as_ref().map(stored).transpose()
        })
        .await
    }

    /// All shares, or those of one asset, newest first.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn shares(&self, asset: Option<&str>) -> Result<Vec<StoredShare>, Error> {
        let db = &self.0.db;
        db.run("reading the shares", async {
            let rows = sqlx::query(
                "SELECT token, asset, definition, views, max_views, created_ms FROM shares \
                 WHERE $1 = '' OR asset = $1 ORDER BY created_ms DESC, token",
            )
            .bind(asset.unwrap_or_default())
            .fetch_all(&db.pool)
            .await?;
            rows.iter().map(stored).collect()
        })
        .await
    }

    /// Forgets a share and its activity, and ends everything that hangs on `subject`, which is it: at once, so
    /// that nothing comes from it in between. `None` if there was none.
    ///
    /// # Errors
    /// A database that fails; then it is still there.
    pub async fn delete_share(
        &self,
        token: &str,
        subject: &str,
    ) -> Result<Option<(StoredEpoch, Revocation)>, Error> {
        let db = &self.0.db;
        db.run("deleting a share", async {
            let mut transaction = db.pool.begin().await?;
            sqlx::query("DELETE FROM share_activity WHERE share = $1")
                .bind(token)
                .execute(&mut *transaction)
                .await?;
            let deleted = sqlx::query("DELETE FROM shares WHERE token = $1")
                .bind(token)
                .execute(&mut *transaction)
                .await?;
            if deleted.rows_affected() == 0 {
                return Ok(None);
            }
            let revoked = revoke(&mut transaction, subject).await?;
            transaction.commit().await?;
            Ok(Some(revoked))
        })
        .await
    }

    /// Counts a view. `false` if the share is used up, or gone.
    ///
    /// # Errors
    /// A database that fails; then nothing is counted.
    pub async fn count_view(&self, token: &str) -> Result<bool, Error> {
        let db = &self.0.db;
        let count = sqlx::query(
            "UPDATE shares SET views = views + 1 \
             WHERE token = $1 AND (max_views = 0 OR views < max_views)",
        )
        .bind(token)
        .execute(&db.pool);
        Ok(db.run("counting a view", count).await?.rows_affected() > 0)
    }

    /// Notes who viewed or downloaded; the oldest notes beyond [`ACTIVITY_MAX`] go.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn note_activity(
        &self,
        token: &str,
        action: &'static str,
        viewer: &str,
    ) -> Result<(), Error> {
        let db = &self.0.db;
        db.run("noting a share's activity", async {
            let mut transaction = db.pool.begin().await?;
            sqlx::query(
                "INSERT INTO share_activity (share, at_ms, action, viewer) VALUES ($1, $2, $3, $4)",
            )
            .bind(token)
            .bind(unix_ms())
            .bind(action)
            .bind(viewer)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "DELETE FROM share_activity WHERE share = $1 AND at_ms < \
                 (SELECT COALESCE(MIN(at_ms), 0) FROM (SELECT at_ms FROM share_activity \
                 WHERE share = $1 ORDER BY at_ms DESC LIMIT $2) AS newest)",
            )
            .bind(token)
            .bind(ACTIVITY_MAX as i64)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    /// Views and downloads of a share, newest first.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn activity(&self, token: &str) -> Result<Vec<Activity>, Error> {
        let db = &self.0.db;
        db.run("reading a share's activity", async {
            let rows = sqlx::query(
                "SELECT at_ms, action, viewer FROM share_activity WHERE share = $1 \
                 ORDER BY at_ms DESC LIMIT $2",
            )
            .bind(token)
            .bind(ACTIVITY_MAX as i64)
            .fetch_all(&db.pool)
            .await?;
            rows.iter()
                .map(|row| {
                    Ok(Activity {
                        at_ms: row.try_get("at_ms")?,
                        action: row.try_get("action")?,
                        viewer: row.try_get("viewer")?,
                    })
                })
                .collect()
        })
        .await
    }
}

fn update(share: &StoredShare) -> Query<'_, Any, AnyArguments> {
    sqlx::query("UPDATE shares SET definition = $2, max_views = $3 WHERE token = $1")
        .bind(share.token.expose().as_str())
        .bind(share.definition.expose().as_str())
        .bind(share.max_views)
}

fn stored(row: &AnyRow) -> Result<StoredShare, sqlx::Error> {
    Ok(StoredShare {
        token: Redacted::new(row.try_get("token")?),
        asset: row.try_get("asset")?,
        definition: Redacted::new(row.try_get("definition")?),
        views: row.try_get("views")?,
        max_views: row.try_get("max_views")?,
        created_ms: row.try_get("created_ms")?,
    })
}
