//! What the handles share: the mounts, their imports, and what all of them need.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use base::Redacted;
use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};
use nzb::document::{ContentId, DOCUMENT_BYTES_MAX, Document};
use store::Store;
use tokio::sync::Semaphore;

use crate::article::Lane;
use crate::articles::Articles;
use crate::event::Events;
use crate::import::{self, Engine, Found, Imported, media_type};
use crate::mapped::Mapped;
use crate::{Code, Error, Failure, FileInfo, Mount, MountId, ReadError, Settings, State, record};

/// Imports at work at once; others wait for their turn.
const IMPORTS_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) articles: Arc<Articles>,
    pub(crate) events: Events,
    pub(crate) mounts: RwLock<Mounts>,
    /// One submission at a time is entered, so that equal ones meet.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) upkeep: Mutex<Option<task::Owned>>,
    imports: Mutex<HashMap<MountId, task::Owned>>,
    permits: Semaphore,
    streams: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Mounts {
    pub(crate) by_id: BTreeMap<MountId, Arc<Mount>>,
    pub(crate) by_content: HashMap<ContentId, MountId>,
    /// By category and name, which are unique together.
    pub(crate) by_name: HashMap<(String, String), MountId>,
}

impl Core {
    pub(crate) fn new(settings: Settings, store: Store, articles: Articles) -> Self {
        Self {
            settings,
            store,
            articles: Arc::new(articles),
            events: Events::new(),
            mounts: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            upkeep: Mutex::default(),
            imports: Mutex::default(),
            permits: Semaphore::new(IMPORTS_MAX),
            streams: AtomicU64::new(0),
        }
    }

    pub(crate) fn mount(&self, id: MountId) -> Option<Arc<Mount>> {
        let mounts = self.mounts.read().unwrap_or_else(PoisonError::into_inner);
        mounts.by_id.get(&id).cloned()
    }

    pub(crate) fn imports(&self) -> MutexGuard<'_, HashMap<MountId, task::Owned>> {
        self.imports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reader or an import asks with: a stream of its own.
    pub(crate) fn engine(&self, lane: Lane) -> Engine {
        Engine {
            articles: self.articles.clone(),
            lane,
            stream: self.streams.fetch_add(1, Ordering::Relaxed),
            is_probing: lane == Lane::Import,
            is_eager: false,
            read_ahead_bytes: self.settings.read_ahead_bytes,
        }
    }

    /// Begins an import, in place of one of the same mount.
    pub(crate) fn begin(self: &Arc<Self>, mount: &Arc<Mount>, document: Option<Document>) {
        let (core, id) = (self.clone(), mount.id);
        let span = tracing::info_span!("import", mount = %id);
        let mount = mount.clone();
        let work = async move {
            core.run(&mount, document).await;
            core.imports().remove(&id);
        };
        let mut imports = self.imports();
        let task = task::spawn_owned("import", span, work);
        imports.insert(id, task);
    }

    async fn run(&self, mount: &Arc<Mount>, document: Option<Document>) {
        let Ok(permit) = self.permits.acquire().await else {
            return;
        };
        self.change(mount, State::Probing, None).await;
        let imported = self.import(mount, document, Lane::Import).await;
        drop(permit);
        let imported = match imported {
            Ok(imported) => imported,
            Err(failure) => return self.change(mount, State::Failed, Some(failure)).await,
        };
        let files = imported.files.iter().map(info).collect();
        let title = mount.status().name.clone();
        let mapped = Arc::new(Mapped::new(imported, title));
        mount.set_mapped(Some(mapped.clone())).await;
        mount.update(|status| status.files = files);
        self.change(mount, State::Streamable, None).await;
        self.verify(mount, &mapped).await;
    }

    /// Ends what a restart interrupted behind the point where it could be played.
    pub(crate) fn finish(self: &Arc<Self>, mount: &Arc<Mount>) {
        let (core, id) = (self.clone(), mount.id);
        let mount = mount.clone();
        let work = async move {
            match mount.mapped().await {
                Ok(mapped) => core.verify(&mount, &mapped).await,
                Err(error) => tracing::warn!(%error, "not all headers could be verified"),
            }
            core.imports().remove(&id);
        };
        let mut imports = self.imports();
        let task = task::spawn_owned("verify", tracing::info_span!("verify", mount = %id), work);
        imports.insert(id, task);
    }

    async fn verify(&self, mount: &Arc<Mount>, mapped: &Arc<Mapped>) {
        match mapped.verify_all(&self.engine(Lane::Health)).await {
            Ok(()) => {
                self.change(mount, State::Verified, None).await;
                self.change(mount, State::Completed, None).await;
            }
            // It plays all the same: what is wrong shows where it is read.
            Err(error) => tracing::warn!(%error, "not all headers could be verified"),
        }
    }

    /// Asks whether a mount's articles are still there; one whose articles are gone is marked.
    pub(crate) async fn recheck(&self, mount: &Arc<Mount>) -> Result<(), Failure> {
        let document = self.document(mount.id).await?;
        let result = import::is_there(&self.engine(Lane::Health), document).await;
        if let Err(failure) = &result
            && matches!(failure.code, Code::DeadPost | Code::Incomplete)
        {
            let text = failure.message.clone();
            self.change(mount, State::Failed, Some(failure.clone()))
                .await;
            self.events.send(mount.id, "dead", text);
        }
        result
    }

    /// Where the bytes of a mount from before a restart are.
    pub(crate) async fn map_again(&self, mount: &Arc<Mount>) -> Result<Mapped, ReadError> {
        let imported = self.import(mount, None, Lane::Demand).await;
        let imported = imported.map_err(|failure| match failure.code {
            Code::ProviderUnavailable => ReadError::Unavailable {
                article: "of the headers".to_owned(),
                what: failure.message,
            },
            _ => ReadError::Map(failure.message),
        })?;
        Ok(Mapped::new(imported, mount.status().name.clone()))
    }

    async fn import(
        &self,
        mount: &Arc<Mount>,
        document: Option<Document>,
        lane: Lane,
    ) -> Result<Imported, Failure> {
        let document = match document {
            Some(document) => document,
            None => self.document(mount.id).await?,
        };
        let given = mount
            .password
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let passwords: Vec<Redacted<String>> = given
            .into_iter()
            .chain(document.passwords.clone())
            .collect();
        let title = mount.status().name.clone();
        let (bytes, articles) = (document.files.iter()).fold((0, 0), |(bytes, articles), file| {
            (bytes + file.bytes(), articles + file.segments.len() as u64)
        });
        mount.update(|status| (status.bytes, status.articles) = (bytes, articles));
        import::import(&self.engine(lane), document, &passwords, &title).await
    }

    async fn document(&self, id: MountId) -> Result<Document, Failure> {
        let kept = self.store.import_nzb(id.0).await;
        let nzb = match kept {
            Ok(Some(nzb)) => nzb,
            Ok(None) => return Err(Failure::new(Code::BadNzb, "the nzb was deleted")),
            Err(error) => return Err(Failure::new(Code::ProviderUnavailable, error.to_string())),
        };
        read(nzb.into()).await
    }

    /// Notes a state, first for those who wait, then in the store.
    async fn change(&self, mount: &Arc<Mount>, state: State, failure: Option<Failure>) {
        let text = failure
            .as_ref()
            .map_or_else(String::new, |failure| failure.message.clone());
        mount.update(|status| (status.state, status.failure) = (state, failure));
        let status = mount.status();
        tracing::info!(mount = %mount.id, name = %status.name, state = state.as_str(), %text, "mount");
        self.events.state(mount.id, state, text);
        if state != State::Probing {
            let detail = record::detail(&status);
            let saved = self
                .store
                .set_import_state(mount.id.0, state.as_str(), &detail)
                .await;
            if let Err(error) = saved {
                // It will be found again after a restart: imports can be repeated.
                tracing::warn!(mount = %mount.id, %error, "a mount's state could not be saved");
            }
        }
    }

    pub(crate) fn check_name(what: &'static str, text: &str) -> Result<String, Error> {
        let clean = import::clean_component(text);
        clean
            .filter(|clean| clean == text)
            .ok_or_else(|| Error::Name {
                what,
                text: text.to_owned(),
            })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.articles.pool.close();
    }
}

fn info(found: &Found) -> FileInfo {
    FileInfo {
        path: found.path.clone(),
        size: found.size,
        role: found.role,
        media_type: media_type(&found.path),
        episode: import::episode_of(&found.path),
        failure: found.map.as_ref().err().cloned(),
    }
}

/// Reads a document, gzipped or not, off the tasks that must not wait.
pub(crate) async fn read(nzb: bytes::Bytes) -> Result<Document, Failure> {
    let work = move || Document::read(&nzb[..]);
    let read = match tokio::task::spawn_blocking(work).await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    read.map_err(|error| Failure::new(Code::BadNzb, error.to_string()))
}

/// The document as the store keeps it.
pub(crate) async fn gzip(nzb: bytes::Bytes) -> Vec<u8> {
    if nzb.starts_with(b"\x1f\x8b") {
        return nzb.to_vec();
    }
    let work = move || {
        let mut packed = Vec::new();
        GzEncoder::new(&nzb[..], Compression::fast())
            .read_to_end(&mut packed)
            .expect("memory can be read");
        packed
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(packed) => packed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What [`gzip`] packed, or was given packed: it was read before it was kept.
pub(crate) async fn gunzip(packed: Vec<u8>) -> Vec<u8> {
    let work = move || {
        let mut nzb = Vec::new();
        let mut reader = MultiGzDecoder::new(&packed[..]).take(DOCUMENT_BYTES_MAX);
        if let Err(error) = reader.read_to_end(&mut nzb) {
            tracing::warn!(%error, "a kept nzb ends early");
        }
        nzb
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(nzb) => nzb,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
