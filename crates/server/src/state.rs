//! What every request can reach.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grant::SessionId;
use ipnet::IpNet;
use live::Live;
use moka::future::Cache;
use schedule::Schedules;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{KeyRing, Store};
use tokio_util::sync::CancellationToken;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;
use vod::Vod;

use crate::error::Problem;
use crate::grants::Grants;
use crate::metrics::Metrics;
use crate::usenet::UsenetFace;
use crate::vod::Throttle;

/// The application's state; clones share it.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// What an [`App`] shares.
#[derive(Debug)]
pub struct Inner {
    pub(crate) live: Live,
    pub(crate) vod: Vod,
    pub(crate) usenet: UsenetFace,
    pub(crate) grants: Grants,
    pub(crate) throttles: Throttles,
    /// Tokens from elsewhere, by their SHA-256, and the grants that stand for them here: one for each
    /// asset, of which a token's prefix may hold many.
    adopted: Cache<([u8; 32], Uuid), String>,
    /// Sessions of shares whose view was counted.
    counted: Cache<SessionId, ()>,
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
    /// `auth.viewers = "grant"`; a reload may change it.
    pub viewers_need_grants: Arc<AtomicBool>,
    /// What `POST /api/v1/reload` does; `None` where there is no file.
    pub reload: Option<Reload>,
    /// What is on when.
    pub schedules: Schedules,
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

/// Reads the configuration file again. Of a bad one each error, with line and column; then nothing changed.
pub type Reload = Box<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Reloaded, Vec<String>>> + Send>> + Send + Sync,
>;

/// What a reload did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reloaded {
    /// New channels.
    pub added: Vec<String>,
    /// Channels that begin anew.
    pub changed: Vec<String>,
    /// Channels that are gone.
    pub removed: Vec<String>,
    /// Keys that need a restart to take effect.
    pub restart_needed: Vec<String>,
    /// Keys that channels take over when they start the next time.
    pub channel_start_needed: Vec<String>,
}

/// How often an address may try what is worth guessing.
#[derive(Debug)]
pub(crate) struct Throttles {
    pub(crate) share: Throttle,
    pub(crate) stream: Throttle,
    pub(crate) exchange: Throttle,
}

/// A token from elsewhere lives a day at most.
const ADOPTED_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const ADOPTED_MAX: u64 = 50_000;
/// As long as an entered password lasts.
const COUNTED_TTL: Duration = Duration::from_secs(60 * 60);
const COUNTED_MAX: u64 = 50_000;

impl App {
    /// Puts the parts together.
    pub fn new(
        live: Live,
        vod: Vod,
        usenet: UsenetFace,
        grants: Grants,
        store: Store,
        settings: Settings,
    ) -> Self {
        let metrics = Metrics::new(
            live.clone(),
            vod.clone(),
            usenet.engine.clone(),
            store.clone(),
        );
        Self(Arc::new(Inner {
            keys: store.key_ring(),
            live,
            vod,
            usenet,
            grants,
            throttles: Throttles {
                share: Throttle::per_minute(30),
                stream: Throttle::per_minute(120),
                exchange: Throttle::per_minute(120),
            },
            adopted: Cache::builder()
                .max_capacity(ADOPTED_MAX)
                .time_to_live(ADOPTED_TTL)
                .build(),
            counted: Cache::builder()
                .max_capacity(COUNTED_MAX)
                .time_to_live(COUNTED_TTL)
                .build(),
            store,
            settings,
            metrics,
        }))
    }
}

impl App {
    /// Whether a live channel's URL must carry a grant.
    pub(crate) fn viewers_need_grants(&self) -> bool {
        self.settings.viewers_need_grants.load(Ordering::Relaxed)
    }

    /// The grant for an asset that stands for a token from elsewhere: the same for as long as the token lives, so
    /// that its viewer has one session.
    pub(crate) async fn adopted(
        &self,
        token: &str,
        asset: Uuid,
        mint: impl FnOnce() -> Result<String, Problem>,
    ) -> Result<String, Problem> {
        let id = (Sha256::digest(token).into(), asset);
        let minted = self.adopted.try_get_with(id, async { mint() });
        minted.await.map_err(|problem| Problem::clone(&problem))
    }

    pub(crate) async fn was_counted(&self, session: Option<SessionId>) -> bool {
        match session {
            Some(session) => self.counted.contains_key(&session),
            None => false,
        }
    }

    pub(crate) async fn counted(&self, session: Option<SessionId>) {
        if let Some(session) = session {
            self.counted.insert(session, ()).await;
        }
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
