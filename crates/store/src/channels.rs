//! The channels that were added through the API. Their definitions are opaque here.

use base::{ChannelId, Redacted};
use sqlx::Row;

use crate::{Error, Store, unix_ms};

/// How many channels a store holds.
pub const CHANNELS_MAX: usize = 10_000;
/// How long a channel's definition may be.
pub const DEFINITION_BYTES_MAX: usize = 256 * 1024;

/// Tracks whose numbers are remembered, counting those of channels that are gone.
const POSITIONS_MAX: i64 = 100_000;
const FORGET_OLD_POSITIONS: &str = "DELETE FROM positions WHERE updated_ms < \
    (SELECT updated_ms FROM positions ORDER BY updated_ms DESC LIMIT 1 OFFSET $1)";

/// A channel as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChannel {
    /// Its name.
    pub id: ChannelId,
    /// JSON. Source URLs in it may carry credentials.
    pub definition: Redacted<String>,
    /// When it was last put, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

impl Store {
    /// Keeps a channel, in place of an earlier one of the same id. Its positions stay.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`CHANNELS_MAX`] or [`DEFINITION_BYTES_MAX`]; a database that fails.
    pub async fn put_channel(&self, id: &ChannelId, definition: &str) -> Result<(), Error> {
        if definition.len() > DEFINITION_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "bytes of a channel's definition",
                max: DEFINITION_BYTES_MAX,
            });
        }
        if definition.contains('\0') {
            return Err(Error::Invalid {
                what: "a channel's definition",
                reason: "holds a NUL",
            });
        }
        let db = &self.0.db;
        let put = sqlx::query(
            "INSERT INTO channels (id, definition, updated_ms) SELECT $1, $2, $3 \
             WHERE (SELECT COUNT(*) FROM channels WHERE id <> $1) < $4 \
             ON CONFLICT (id) DO UPDATE \
             SET definition = excluded.definition, updated_ms = excluded.updated_ms",
        )
        .bind(id.as_str())
        .bind(definition)
        .bind(unix_ms())
        .bind(CHANNELS_MAX as i64)
        .execute(&db.pool);
        match db.run("keeping a channel", put).await?.rows_affected() {
            0 => Err(Error::TooLarge {
                what: "channels",
                max: CHANNELS_MAX,
            }),
            _ => Ok(()),
        }
    }

    /// Forgets a channel; `false` if none was put. Its positions stay: caches keep segments for a year
    /// under their numbers, which a new channel of that name must not use again.
    ///
    /// # Errors
    /// A database that fails; then nothing is forgotten.
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<bool, Error> {
        let db = &self.0.db;
        db.run("deleting a channel", async {
            let mut transaction = db.pool.begin().await?;
            let deleted = sqlx::query("DELETE FROM channels WHERE id = $1")
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(FORGET_OLD_POSITIONS)
                .bind(POSITIONS_MAX)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }

    /// All channels that were put, by id.
    ///
    /// # Errors
    /// A database that fails or holds an id that is none.
    pub async fn channels(&self) -> Result<Vec<StoredChannel>, Error> {
        let db = &self.0.db;
        db.run("reading the channels", async {
            let rows = sqlx::query("SELECT id, definition, updated_ms FROM channels ORDER BY id")
                .fetch_all(&db.pool)
                .await?;
            rows.iter()
                .map(|row| {
                    let id: String = row.try_get("id")?;
                    Ok(StoredChannel {
                        id: id
                            .parse()
                            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                        definition: Redacted::new(row.try_get("definition")?),
                        updated_ms: row.try_get("updated_ms")?,
                    })
                })
                .collect()
        })
        .await
    }
}
