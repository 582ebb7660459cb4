//! Posts over HTTP: submitted, mounted, played, and shown as the systems show them that others already
//! speak to (SABnzbd, WebDAV, Stremio).
//!
//! What a post is and where its bytes lie, the engine (the crate `usenet`) knows; here are the paths,
//! who may ask, and the words of each answer. Posts come in by [`intake`] and files go out by [`files`],
//! whatever face they have.

mod address;
mod fetched;
mod files;
mod form;
mod intake;
pub(crate) mod metrics;
pub(crate) mod mounts;
mod newznab;
mod settings;
mod streams;

use std::sync::atomic::{AtomicU64, Ordering};

use axum::routing::{get, post};
use axum::{Router, middleware};
use fetch::Client;
use tokio::sync::{Semaphore, SemaphorePermit};
use usenet::Usenet;

use crate::cors;
use crate::state::App;

pub use settings::{Announce, Indexer, LibrarySettings, NzbHost, UsenetSettings};

/// The engine and what its faces need beside it.
#[derive(Debug)]
pub struct UsenetFace {
    pub(crate) engine: Usenet,
    pub(crate) settings: UsenetSettings,
    /// Fetches the NZBs that clients name.
    client: Client,
    uploads: Semaphore,
    bytes_out: AtomicU64,
}

/// NZBs that are received at a time; others wait before their bodies are read.
const UPLOADS_MAX: usize = 8;

impl UsenetFace {
    /// Puts the faces before a running engine.
    pub fn new(engine: Usenet, client: Client, settings: UsenetSettings) -> Self {
        Self {
            engine,
            settings,
            client,
            uploads: Semaphore::new(UPLOADS_MAX),
            bytes_out: AtomicU64::new(0),
        }
    }

    /// Room for a document in memory.
    async fn upload(&self) -> SemaphorePermit<'_> {
        let permit = self.uploads.acquire().await;
        permit.expect("the semaphore is never closed")
    }

    fn count_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of files sent since start.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }
}

/// What needs an API key and nothing else.
pub(crate) fn administration() -> Router<App> {
    Router::new()
        .route("/api/v1/mounts", get(mounts::list))
        .route(
            "/api/v1/mounts/{id}",
            get(mounts::one).delete(mounts::remove),
        )
        .route("/api/v1/mounts/{id}/retry", post(mounts::retry))
        .route("/api/v1/providers", get(mounts::providers))
}

/// What players and other systems ask for; each route looks for its own kind of key.
pub(crate) fn viewing() -> Router<App> {
    let files = get(files::stream)
        .options(cors::preflight)
        .layer(middleware::map_response(cors::allow));
    Router::new()
        .route("/api/nzb/streams", post(streams::submit))
        .route("/api/files/stream", files)
}
