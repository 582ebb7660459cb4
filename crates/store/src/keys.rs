//! API keys: made or imported, verified from memory, never kept in the clear.
//!
//! What is kept of a key is the SHA-256 of its *download key*, and the download key is the lowercase
//! hex SHA-256 of the key. So one hash verifies both, a download key cannot pass for the key, and the
//! database gives away neither. Plain SHA-256 is right for keys of 256 random bits.

use std::fmt;

use base::Redacted;
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::any::AnyRow;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::{Error, Store, unix_ms};

/// How many keys a store holds; verifying compares with each.
pub const KEYS_MAX: usize = 256;

const LABEL_BYTES_MAX: usize = 128;
/// Of imported keys. Shorter ones can be guessed, longer ones do not fit a header.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;
/// `pk_` and five hex digits: tells keys apart and leaves 236 bits unknown.
const PREFIX_LENGTH: usize = 8;

/// A key's name in the API and in logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeyId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub id: KeyId,
    /// What its owner calls it.
    pub label: String,
    /// Its first characters; empty if it was imported.
    pub prefix: String,
    /// Whether it came from the operator rather than from [`Store::create_key`].
    pub imported: bool,
    /// When it was made or first imported, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// All keys as they are now, for verifying without I/O. Clones are cheap and stay up to date.
#[derive(Clone)]
pub struct KeyRing(watch::Receiver<Vec<Entry>>);

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    id: KeyId,
    hash: [u8; 32],
}

impl KeyRing {
    /// Which key this is, if it is one.
    pub fn verify(&self, key: &str) -> Option<KeyId> {
        self.verify_download_key(&download_key(key))
    }

    /// Which key this is the download key of: the lowercase hex SHA-256 of the key, good for files and
    /// never for administration.
    pub fn verify_download_key(&self, download_key: &str) -> Option<KeyId> {
        let hash = Sha256::digest(download_key);
        let mut found = None;
        // Every entry is compared, in constant time, so that time does not tell which one was close.
        for entry in self.0.borrow().iter() {
            if entry.hash.as_slice().ct_eq(hash.as_slice()).into() {
                found = Some(entry.id.clone());
            }
        }
        found
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing")
            .field(&self.0.borrow().len())
            .finish()
    }
}

impl Store {
    /// Makes a key of 256 random bits, `pk_` and 64 hex digits. It is returned here and never again.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`KEYS_MAX`], [`Error::Invalid`] for a label that cannot be shown, a
    /// database that fails.
    pub async fn create_key(&self, label: &str) -> Result<(KeyInfo, Redacted<String>), Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(Error::Random)?;
        let key = format!("pk_{}", hex(&secret));
        let info = self.insert_key(label, &key, false).await?;
        Ok((info, Redacted::new(key)))
    }

    /// Keeps a key that the operator brings (`auth.api_key_file`). It takes the place of the key that
    /// was imported under this label before; the same key again changes nothing.
    ///
    /// # Errors
    /// Those of [`Store::create_key`]; [`Error::Invalid`] for a key that is too short or that no header
    /// can carry.
    pub async fn import_key(&self, label: &str, key: &Redacted<String>) -> Result<KeyInfo, Error> {
        let key = key.expose();
        let invalid = |reason| Error::Invalid {
            what: "the api key",
            reason,
        };
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("may hold only visible ascii characters"));
        }
        if !KEY_BYTES.contains(&key.len()) {
            return Err(invalid("must have 16 to 1024 characters"));
        }
        self.insert_key(label, key, true).await
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, Error> {
        let db = &self.0.db;
        db.run("reading the api keys", async {
            let rows = sqlx::query(
                "SELECT id, label, prefix, imported, created_ms FROM api_keys \
                 ORDER BY created_ms, id",
            )
            .fetch_all(&db.pool)
            .await?;
            rows.iter().map(key_info).collect()
        })
        .await
    }

    /// Takes a key out of use, at once. `false` if there was none of this id.
    ///
    /// # Errors
    /// A database that fails; then the key is still good.
    pub async fn revoke_key(&self, id: &KeyId) -> Result<bool, Error> {
        let db = &self.0.db;
        let delete = sqlx::query("DELETE FROM api_keys WHERE id = $1")
            .bind(id.as_str())
            .execute(&db.pool);
        let deleted = db.run("revoking an api key", delete).await?;
        self.reload_keys().await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Whether there is a key at all.
    pub fn has_keys(&self) -> bool {
        !self.0.keys.borrow().is_empty()
    }

    /// The keys, for verifying.
    pub fn key_ring(&self) -> KeyRing {
        KeyRing(self.0.keys.subscribe())
    }

    /// Reads the keys anew: another process may have changed them (`perennial key` beside a running
    /// server, another node on Postgres). Costs one small query.
    ///
    /// # Errors
    /// A database that fails; the keys then stay as they were.
    pub async fn reload_keys(&self) -> Result<(), Error> {
        let db = &self.0.db;
        let _turn = self.0.keys_turn.lock().await;
        let entries: Vec<Entry> = db
            .run("reading the api keys", async {
                let rows = sqlx::query("SELECT id, hash FROM api_keys")
                    .fetch_all(&db.pool)
                    .await?;
                rows.iter().map(entry).collect()
            })
            .await?;
        self.0.keys.send_replace(entries);
        Ok(())
    }

    async fn insert_key(&self, label: &str, key: &str, imported: bool) -> Result<KeyInfo, Error> {
        if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
            return Err(Error::Invalid {
                what: "the label of an api key",
                reason: "must have at most 128 bytes and no control characters",
            });
        }
        let mut id = [0; 6];
        getrandom::fill(&mut id).map_err(Error::Random)?;
        let prefix = if imported { "" } else { &key[..PREFIX_LENGTH] };
        let hash = Sha256::digest(download_key(key)).to_vec();
        let db = &self.0.db;
        let kept = db
            .run("keeping an api key", async {
                let mut transaction = db.pool.begin().await?;
                if imported {
                    sqlx::query(
                        "DELETE FROM api_keys WHERE imported = 1 AND label = $1 AND hash <> $2",
                    )
                    .bind(label)
                    .bind(hash.clone())
                    .execute(&mut *transaction)
                    .await?;
                }
                sqlx::query(
                    "INSERT INTO api_keys (id, label, prefix, imported, hash, created_ms) \
                     SELECT $1, $2, $3, $4, $5, $6 WHERE (SELECT COUNT(*) FROM api_keys) < $7 \
                     ON CONFLICT (hash) DO NOTHING",
                )
                .bind(hex(&id))
                .bind(label)
                .bind(prefix)
                .bind(i64::from(imported))
                .bind(hash.clone())
                .bind(unix_ms())
                .bind(KEYS_MAX as i64)
                .execute(&mut *transaction)
                .await?;
                let kept = sqlx::query(
                    "SELECT id, label, prefix, imported, created_ms FROM api_keys WHERE hash = $1",
                )
                .bind(hash)
                .fetch_optional(&mut *transaction)
                .await?;
                transaction.commit().await?;
                kept.as_ref().map(key_info).transpose()
            })
            .await?;
        self.reload_keys().await?;
        kept.ok_or(Error::TooLarge {
            what: "api keys",
            max: KEYS_MAX,
        })
    }
}

fn key_info(row: &AnyRow) -> Result<KeyInfo, sqlx::Error> {
    Ok(KeyInfo {
        id: KeyId(row.try_get("id")?),
        label: row.try_get("label")?,
        prefix: row.try_get("prefix")?,
        imported: row.try_get::<i64, _>("imported")? != 0,
        created_ms: row.try_get("created_ms")?,
    })
}

fn entry(row: &AnyRow) -> Result<Entry, sqlx::Error> {
    let hash: &[u8] = row.try_get("hash")?;
    Ok(Entry {
        id: KeyId(row.try_get("id")?),
        hash: hash
            .try_into()
            .map_err(|_| sqlx::Error::Decode("an api key's hash has not 32 bytes".into()))?,
    })
}

fn download_key(key: &str) -> String {
    hex(&Sha256::digest(key))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
