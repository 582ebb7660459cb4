//! What every request can reach.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use live::Live;
use serde::Serialize;
use store::{KeyRing, Store};
use tokio_util::sync::CancellationToken;
use url::Url;
use utoipa::ToSchema;

use crate::metrics::Metrics;

/// The application's state; clones share it.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// What an [`App`] shares.
#[derive(Debug)]
pub struct Inner {
    pub(crate) live: Live,
    pub(crate) store: Store,
    pub(crate) keys: KeyRing,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
}

/// What the HTTP face is told once.
pub struct Settings {
    /// How players reach us, when behind a reverse proxy.
    pub public_url: Option<Url>,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who may do what.
    pub access: Access,
    /// What `POST /api/v1/reload` does; `None` where there is no file.
    pub reload: Option<Reload>,
    /// Ends what would never end by itself, such as a listener of events.
    pub stop: CancellationToken,
}

/// Who may administer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Who has an API key.
    Key,
    /// As [`Access::Key`], and `POST /change_stream` also without one from this machine: the way of
    /// `perennial live` on loopback.
    KeyOrLocalSwitch,
}

/// Reads the configuration file again.
pub type Reload = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Reloaded> + Send>> + Send + Sync>;

/// What a reload did.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Reloaded {
    /// The file was taken.
    Applied {
        /// New channels.
        added: Vec<String>,
        /// Channels that begin anew.
        changed: Vec<String>,
        /// Channels that are gone.
        removed: Vec<String>,
        /// Keys that need a restart to take effect.
        restart_needed: Vec<String>,
        /// Keys that channels take over when they start the next time.
        channel_start_needed: Vec<String>,
    },
    /// The file is bad, and nothing changed.
    Refused {
        /// Each with line and column.
        errors: Vec<String>,
    },
}

impl App {
    /// Puts the parts together.
    pub fn new(live: Live, store: Store, settings: Settings) -> Self {
        let metrics = Metrics::new(live.clone(), store.clone());
        Self(Arc::new(Inner {
            keys: store.key_ring(),
            live,
            store,
            settings,
            metrics,
        }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
