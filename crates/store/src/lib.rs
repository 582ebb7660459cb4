//! State that survives a restart: API keys, the channels that were added through the API, where each
//! channel's numbers stand, the posts that were submitted, the assets of private libraries, their
//! shares, what grants need, secrets of our own, and what resolvers remember.
//!
//! One code runs on two backends, both compiled in: SQLite in the data directory, and Postgres. Media
//! never passes through here, and what a channel's definition means is none of this crate's business.
//!
//! [`Store`] is a cheap handle. What is asked often is answered from memory ([`KeyRing`]); what is
//! written often is written behind ([`Positions`]).

mod assets;
mod backend;
mod channels;
mod error;
mod grants;
mod imports;
mod keys;
mod location;
mod positions;
mod resolvers;
mod secrets;
mod shares;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use assets::{ASSETS_MAX, ASSETS_PAGE, Kept, StoredAsset};
pub use channels::{CHANNELS_MAX, DEFINITION_BYTES_MAX, StoredChannel};
pub use error::{Error, Fault};
pub use grants::{Revocation, RevocationMark, StoredEpoch, StoredSession};
pub use imports::{IMPORTS_MAX, NZB_BYTES_MAX, NewImport, StoredImport};
pub use keys::{KEYS_MAX, KeyId, KeyInfo, KeyRing};
pub use location::Location;
pub use positions::{Health, Position, Positions};
pub use resolvers::MEMORY_BYTES_MAX;
pub use secrets::{SECRET_LENGTH, SECRETS_MAX, StoredSecret};
pub use shares::{ACTIVITY_MAX, Activity, SHARES_MAX, StoredShare};

use backend::{Db, Schema};
use writer::Writer;

/// An open store. Clones share it.
///
/// Dropping the last clone without [`Store::close`] is what a killed process does: everything that was
/// answered with `Ok` is kept, positions of the last 100 ms may not be.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: Db,
    keys: watch::Sender<Vec<keys::Entry>>,
    /// Held from the reading of the keys until they are published, so that no older reading can bring
    /// a revoked key back.
    keys_turn: tokio::sync::Mutex<()>,
    positions: Positions,
    writer: Writer,
    /// Held while open, so that a data directory has one owner; the kernel releases it at a kill.
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens the store as its owner, makes it where there is none, and brings its schema up to date.
    ///
    /// A directory and its database are created for this user alone (0700, 0600).
    ///
    /// # Errors
    /// [`Error::InUse`] if another process owns the directory, [`Error::NewerSchema`] if a newer
    /// Perennial has used it, and whatever keeps the files or the server from being used, by name.
    pub async fn open(location: &Location) -> Result<Self, Error> {
        let lock = match location {
            Location::Directory(path) => {
                Some(location::lock(path)?.map_err(|pid| Error::InUse {
                    path: path.clone(),
                    pid,
                })?)
            }
            Location::Postgres(_) | Location::Memory => None,
        };
        Self::start(location, lock, Schema::Migrate).await
    }

    /// Opens the store beside its owner if it has one: for a command that runs while the server does.
    ///
    /// The owner learns of what was changed here by [`Store::reload_keys`].
    ///
    /// # Errors
    /// Those of [`Store::open`] but for [`Error::InUse`]; and [`Error::OlderSchema`] rather than change
    /// the schema of a running owner.
    pub async fn join(location: &Location) -> Result<Self, Error> {
        let lock = match location {
            Location::Directory(path) => location::lock(path)?.ok(),
            Location::Postgres(_) | Location::Memory => return Self::open(location).await,
        };
        let schema = if lock.is_some() {
            Schema::Migrate
        } else {
            Schema::Check
        };
        Self::start(location, lock, schema).await
    }

    async fn start(location: &Location, lock: Option<File>, schema: Schema) -> Result<Self, Error> {
        let db = Db::open(location, schema).await?;
        let (keys, _) = watch::channel(Vec::new());
        let positions = Positions::new();
        let store = Self(Arc::new(Inner {
            writer: Writer::spawn(db.clone(), positions.clone()),
            db,
            keys,
            keys_turn: tokio::sync::Mutex::default(),
            positions,
            lock: Mutex::new(lock),
        }));
        store.reload_keys().await?;
        Ok(store)
    }

    /// How the writing of positions fares. A full disk shows here.
    pub fn health(&self) -> Health {
        self.0.positions.health()
    }

    /// Writes the waiting positions, then closes files and connections and gives the directory free.
    /// What is asked of the store afterwards fails with [`Fault::Closed`]. A second call does nothing.
    ///
    /// # Errors
    /// If the last positions could not be written; the store is closed all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let flushed = self.0.writer.close().await;
        self.0.db.pool.close().await;
        self.0
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        flushed
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.db.place).finish()
    }
}

/// Now, in milliseconds since the Unix epoch; zero if the clock stands before it.
fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
