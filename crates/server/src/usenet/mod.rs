//! Posts over HTTP: submitted, mounted, played, and shown as the systems show them that others already
//! speak to (SABnzbd, WebDAV, Stremio).
//!
//! What a post is and where its bytes lie, the engine (the crate `usenet`) knows; here are the paths,
//! who may ask, and the words of each answer. Posts come in by [`intake`] and files go out by [`files`],
//! whatever face they have.

mod address;
mod fetched;
pub(crate) mod files;
mod form;
mod intake;
mod library;
mod memory;
pub(crate) mod metrics;
pub(crate) mod mounts;
mod newznab;
mod sabnzbd;
mod sealed;
mod settings;
pub(crate) mod streams;
mod stremio;
mod webdav;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use fetch::{Client, Manners};
use http::Method;
use moka::future::Cache;
use store::Store;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use usenet::Usenet;

use crate::cors;
use crate::state::App;
use form::{BadForm, Form, Unread};
use memory::Memory;
use sabnzbd::Looks;
use sealed::Sealer;
use stremio::Title;

pub(crate) use memory::Dropped;
pub use newznab::results_of;
pub use settings::{Announce, Indexer, LibrarySettings, NzbHost, UsenetSettings};
pub use webdav::properties_of;

/// The engine and what its faces need beside it.
#[derive(Debug)]
pub struct UsenetFace {
    pub(crate) engine: Usenet,
    pub(crate) settings: UsenetSettings,
    client: Client,
    /// Its places in the queues of indexers.
    manners: Manners,
    sealer: Sealer,
    titles: Cache<String, Title>,
    memory: Memory,
    looks: Looks,
    /// Files of the library change for one mount at a time, so that they are those of the name it has.
    library_turn: Mutex<()>,
    uploads: Semaphore,
    fetches: Semaphore,
    strangers: Semaphore,
    bytes_out: AtomicU64,
}

/// NZBs that are received at a time; others wait before their bodies are read.
const UPLOADS_MAX: usize = 8;
/// NZBs that are fetched at a time; others wait.
const FETCHES_MAX: usize = 8;
/// Of those whose key may stand in the form: they must not keep anybody else waiting.
const STRANGERS_MAX: usize = 4;
/// An NZB and what is sent around it.
const BODY_BYTES_MAX: usize = (100 << 20) + (1 << 20);
const STRANGER_BYTES_MAX: usize = 8 << 20;
/// For all of it, over a thin line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// For all of it: nobody holds the room by sending slowly.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(20);
const TITLES_MAX: u64 = 10_000;
const TITLE_TTL: Duration = Duration::from_secs(24 * 60 * 60);

impl UsenetFace {
    /// Puts the faces before a running engine. The client asks indexers, and reaches
    /// [`UsenetSettings::allowed_networks`].
    ///
    /// # Errors
    /// A store that fails.
    pub async fn open(
        engine: Usenet,
        client: Client,
        store: &Store,
        settings: UsenetSettings,
    ) -> Result<Self, store::Error> {
        let titles = Cache::builder();
        Ok(Self {
            engine,
            settings,
            manners: client.manners(),
            client,
            sealer: Sealer::open(store).await?,
            titles: titles
                .max_capacity(TITLES_MAX)
                .time_to_live(TITLE_TTL)
                .build(),
            memory: Memory::open(store).await?,
            looks: Looks::default(),
            library_turn: Mutex::default(),
            uploads: Semaphore::new(UPLOADS_MAX),
            fetches: Semaphore::new(FETCHES_MAX),
            strangers: Semaphore::new(STRANGERS_MAX),
            bytes_out: AtomicU64::new(0),
        })
    }

    /// Room for a document in memory, for who has shown a key or for who has not yet.
    async fn upload(&self, is_known: bool) -> SemaphorePermit<'_> {
        let room = if is_known {
            &self.uploads
        } else {
            &self.strangers
        };
        let permit = room.acquire().await;
        permit.expect("the semaphore is never closed")
    }

    /// All that a request sends: of who has shown a key, an NZB; of who has not yet, since the key may stand
    /// in the form, less, and soon.
    async fn form(&self, request: Request, is_known: bool) -> Result<Form, Unread> {
        let query = Form::of_query(request.uri().query());
        if request.method() == Method::GET {
            return Ok(query);
        }
        let (bytes_max, limit) = if is_known {
            (BODY_BYTES_MAX, UPLOAD_TIMEOUT)
        } else {
            (STRANGER_BYTES_MAX, STRANGER_TIMEOUT)
        };
        let deadline = Instant::now() + limit;
        let room = tokio::time::timeout_at(deadline, self.upload(is_known)).await;
        let late = |_| Unread {
            form: query,
            error: BadForm::Late,
        };
        let _room = room.map_err(late)?;
        Form::read(request, bytes_max, deadline).await
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
    let addon = Router::new()
        .route("/stremio/{key}/manifest.json", get(stremio::manifest))
        .route("/stremio/{key}/stream/{kind}/{id}", get(stremio::streams))
        .route("/stremio/{key}/play", get(stremio::play))
        .layer(middleware::map_response(cors::allow));
    let mut router = Router::new()
        .route("/api/nzb/streams", post(streams::submit))
        .route("/api/files/stream", files)
        .route("/webdav", any(webdav::answer))
        .route("/webdav/", any(webdav::answer))
        .route("/webdav/{*path}", any(webdav::answer))
        .merge(addon);
    // The last for who takes WebDAV and SABnzbd to be one server, as nzbdav is.
    for path in [
        "/sabnzbd/api",
        "/sabnzbd/api/",
        "/sabnzbd",
        "/api",
        "/webdav/api",
    ] {
        router = router.route(path, get(sabnzbd::api).post(sabnzbd::api));
    }
    router
}
