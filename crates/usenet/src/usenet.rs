//! The engine's handle.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base::Redacted;
use bytes::Bytes;
use store::Store;
use tokio::sync::broadcast;

use crate::event::Events;
use crate::{Error, Event, Mount, MountId, ProviderStatus, Settings};

/// The engine. Clones share it.
#[derive(Clone)]
pub struct Usenet(Arc<Inner>);

struct Inner {
    events: Events,
    settings: Settings,
    _store: Store,
}

/// What is submitted.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The document, gzipped or not; at most [`nzb::document::DOCUMENT_BYTES_MAX`] unpacked.
    pub nzb: Bytes,
    /// What it is called, with or without `.nzb`; `name{{password}}` gives a password. Empty for the
    /// document's own title.
    pub name: String,
    /// Empty for `default`.
    pub category: String,
    /// Wins over the document's and the name's.
    pub password: Option<Redacted<String>>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The mount, perhaps that of an earlier submission: then its name and category stay.
    pub mount: Arc<Mount>,
    /// It was mounted before, and can be played.
    pub is_cached: bool,
}

impl Usenet {
    /// Opens the engine: takes up what the store has, and opens the first connections.
    ///
    /// # Errors
    /// Settings that cannot be used; a store that fails. A provider that does not answer is none.
    pub async fn start(settings: Settings, store: Store) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            events: Events::new(),
            settings,
            _store: store,
        })))
    }

    /// Mounts a post. When it answers, the import is under way and survives a kill.
    ///
    /// # Errors
    /// [`Error::Failed`] with [`crate::Code::BadNzb`] for what is no NZB; names that cannot be; a store
    /// that fails.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Error> {
        let _ = (submission, &self.0.settings);
        Err(Error::Failed(crate::Failure::new(
            crate::Code::ProviderUnavailable,
            "no provider",
        )))
    }

    /// All mounts, by number.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        Vec::new()
    }

    /// The mount of this number.
    pub fn mount(&self, id: MountId) -> Option<Arc<Mount>> {
        self.mounts().into_iter().find(|mount| mount.id() == id)
    }

    /// The mount of this category and name.
    pub fn mount_named(&self, category: &str, name: &str) -> Option<Arc<Mount>> {
        self.mounts().into_iter().find(|mount| {
            let status = mount.status();
            status.category == category && status.name == name
        })
    }

    /// Forgets a mount; its readers end with [`crate::ReadError::Closed`]. `false` if there is none.
    ///
    /// # Errors
    /// A store that fails; then it stays.
    pub async fn delete(&self, id: MountId) -> Result<bool, Error> {
        Ok(self.mount(id).is_some())
    }

    /// Imports a failed mount again. `false` if there is no such mount.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn retry(&self, id: MountId) -> Result<bool, Error> {
        Ok(self.mount(id).is_some())
    }

    /// Gives a mount another category and name. `false` if there is no such mount.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Taken`]; a store that fails.
    pub async fn rename(&self, id: MountId, category: &str, name: &str) -> Result<bool, Error> {
        let _ = (category, name);
        Ok(self.mount(id).is_some())
    }

    /// Every change of state from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// The providers, in the order of the settings.
    pub fn providers(&self) -> Vec<ProviderStatus> {
        Vec::new()
    }

    /// Ends imports, readers and connections. What was accepted goes on at the next start.
    pub async fn close(&self) {}
}

impl fmt::Debug for Usenet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usenet").finish_non_exhaustive()
    }
}

/// Now, in milliseconds since the Unix epoch; zero if the clock stands before it.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
