//! The engine's handle.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Redacted;
use bytes::Bytes;
use nzb::document::{ContentId, Document, password_in_name};
use store::{NewImport, Store};
use tokio::sync::broadcast;

use crate::articles::Articles;
use crate::core::{self, Core, Mounts};
use crate::disk::Disk;
use crate::pool::{PROVIDERS_MAX, Pool};
use crate::record::{self, Record};
use crate::{
    Error, Event, Failure, Mount, MountId, ProviderStatus, Settings, State, Status, import,
};

/// The engine. Clones share it.
#[derive(Clone)]
pub struct Usenet(Arc<Core>);

/// How often mounts are looked after: aged ones deleted, maps that nobody reads dropped.
const UPKEEP: Duration = Duration::from_secs(60);
/// A map that was not read for so long is dropped; the next reader makes it again.
const UNLOAD_MS: i64 = 10 * 60 * 1000;
/// The category of what is submitted without one.
const CATEGORY: &str = "default";

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
    /// What it was submitted as, if that can be a name.
    pub name: Option<String>,
    /// It was submitted before, whatever became of it.
    pub is_known: bool,
    /// It was mounted before, and can be played.
    pub is_cached: bool,
}

impl Usenet {
    /// Opens the engine: takes up what the store has, and opens the first connections.
    ///
    /// # Errors
    /// Settings that cannot be used; a store that fails. A provider that does not answer is none.
    pub async fn start(settings: Settings, store: Store) -> Result<Self, Error> {
        if settings.providers.len() > PROVIDERS_MAX {
            return Err(Error::Settings {
                host: settings.providers[PROVIDERS_MAX].host.clone(),
                what: format!("more than {PROVIDERS_MAX} providers"),
            });
        }
        let stored = store.imports().await?;
        let pool = Pool::start(&settings.providers);
        let disk = open_disk(&settings)?;
        let articles = Articles::new(pool, settings.cache_memory_bytes, disk);
        let core = Arc::new(Core::new(settings, store, articles));
        for import in stored {
            let content = ContentId(unhex(&import.content));
            let mount = enter(&core, content, record::restore(import));
            match mount.status().state {
                State::Accepted | State::Probing => core.begin(&mount, None),
                State::Streamable | State::Verified => core.finish(&mount),
                State::Completed | State::Failed => {}
            }
        }
        let weak = Arc::downgrade(&core);
        let upkeep = task::spawn_owned("mounts", tracing::info_span!("mounts"), async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                let Some(core) = weak.upgrade() else { break };
                look_after(&Self(core)).await;
            }
        });
        *core.upkeep.lock().unwrap_or_else(PoisonError::into_inner) = Some(upkeep);
        Ok(Self(core))
    }

    /// Mounts a post. When it answers, the import is under way and survives a kill.
    ///
    /// # Errors
    /// [`Error::Failed`] with [`crate::Code::BadNzb`] for what is no NZB; names that cannot be; a store that fails.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, Error> {
        let core = &self.0;
        let document = core::read(submission.nzb.clone())
            .await
            .map_err(Error::Failed)?;
        let content = document.content_id();
        let (stem, password) = password_in_name(&submission.name);
        let password = submission.password.or(password);
        let given = import::clean_component(stem);
        let name = (given.clone())
            .or_else(|| import::clean_component(document.title.as_deref()?))
            .unwrap_or_else(|| content.to_string());
        let category = match &*submission.category {
            "" => CATEGORY.to_owned(),
            given => Core::check_name("category", given)?,
        };
        let _turn = core.turn.lock().await;
        if let Some(mount) = self.known(content) {
            return Ok(Submitted {
                is_cached: self.again(&mount, password, document).await?,
                mount,
                name: given,
                is_known: true,
            });
        }
        let name = self.free_name(&category, name);
        let new = NewImport {
            content: content.to_string(),
            name: name.clone(),
            category: category.clone(),
            password: password.clone(),
            nzb: core::gzip(submission.nzb).await,
            state: State::Accepted.as_str(),
        };
        let (id, _) = core.store.accept_import(&new).await?;
        let now = unix_ms();
        let status = Status {
            state: State::Accepted,
            failure: None,
            name,
            category,
            is_kept: false,
            files: Vec::new(),
            bytes: 0,
            articles: 0,
            missing: 0,
            created_ms: now,
            updated_ms: now,
        };
        let record = Record {
            id: MountId(id),
            status,
            password,
            used_ms: now,
            is_kept: false,
        };
        let mount = enter(core, content, record);
        core.events
            .state(mount.id, State::Accepted, mount.status().name.clone());
        core.begin(&mount, Some(document));
        Ok(Submitted {
            mount,
            name: given,
            is_known: false,
            is_cached: false,
        })
    }

    /// A post that is known: it is imported again if another password came, or if what failed may pass.
    /// Whether it could be played before.
    async fn again(
        &self,
        mount: &Arc<Mount>,
        password: Option<Redacted<String>>,
        document: Document,
    ) -> Result<bool, Error> {
        let status = mount.status();
        mount.used_ms.store(unix_ms(), Ordering::Relaxed);
        let is_new_password = {
            let mut known = mount
                .password
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let is_new = password.is_some() && *known != password;
            if is_new && status.state == State::Failed {
                known.clone_from(&password);
            }
            is_new
        };
        let is_passing = status
            .failure
            .as_ref()
            .is_some_and(|failure| failure.code.is_passing());
        if status.state == State::Failed && (is_new_password || is_passing) {
            if let Some(password) = password.filter(|_| is_new_password) {
                self.0
                    .store
                    .set_import_password(mount.id.0, &password)
                    .await?;
            }
            mount.update(|status| (status.state, status.failure) = (State::Accepted, None));
            self.0.begin(mount, Some(document));
        }
        Ok(status.state.is_playable())
    }

    fn known(&self, content: ContentId) -> Option<Arc<Mount>> {
        let mounts = self.0.mounts.read().unwrap_or_else(PoisonError::into_inner);
        mounts.by_id.get(mounts.by_content.get(&content)?).cloned()
    }

    fn free_name(&self, category: &str, name: String) -> String {
        if self.mount_named(category, &name).is_none() {
            return name;
        }
        let numbered = (2..).map(|number: u32| format!("{name} ({number})"));
        let free = numbered
            .into_iter()
            .find(|name| self.mount_named(category, name).is_none());
        free.expect("numbers do not end")
    }

    /// All mounts, by number.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        let mounts = self.0.mounts.read().unwrap_or_else(PoisonError::into_inner);
        mounts.by_id.values().cloned().collect()
    }

    /// The mount of this number.
    pub fn mount(&self, id: MountId) -> Option<Arc<Mount>> {
        self.0.mount(id)
    }

    /// The document of a mount, gzipped or not. `None` if there is no such mount.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn nzb(&self, id: MountId, is_packed: bool) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.0.store.import_nzb(id.0).await?;
        Ok(match kept {
            Some(packed) if !is_packed => Some(core::gunzip(packed).await),
            kept => kept,
        })
    }

    /// The mount of this category and name.
    pub fn mount_named(&self, category: &str, name: &str) -> Option<Arc<Mount>> {
        let mounts = self.0.mounts.read().unwrap_or_else(PoisonError::into_inner);
        let key = (category.to_owned(), name.to_owned());
        mounts.by_id.get(mounts.by_name.get(&key)?).cloned()
    }

    /// Forgets a mount; its readers end with [`crate::ReadError::Closed`]. `false` if there is none.
    ///
    /// # Errors
    /// A store that fails; then it stays.
    pub async fn delete(&self, id: MountId) -> Result<bool, Error> {
        let core = &self.0;
        let _turn = core.turn.lock().await;
        let Some(mount) = self.mount(id) else {
            return Ok(false);
        };
        core.store.delete_import(id.0).await?;
        core.imports().remove(&id);
        mount.close();
        let mut mounts = core.mounts.write().unwrap_or_else(PoisonError::into_inner);
        mounts.by_id.remove(&id);
        mounts.by_content.remove(&mount.content);
        mounts.by_name.remove(&place(&mount));
        drop(mounts);
        core.events.send(id, "removed", mount.status().name.clone());
        Ok(true)
    }

    /// Imports a failed mount again. `false` if there is no such mount.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn retry(&self, id: MountId) -> Result<bool, Error> {
        let Some(mount) = self.mount(id) else {
            return Ok(false);
        };
        if mount.status().state == State::Failed {
            self.0.articles.forget_gone();
            mount.update(|status| (status.state, status.failure) = (State::Accepted, None));
            let word = State::Accepted.as_str();
            self.0.store.set_import_state(id.0, word, "").await?;
            self.0.begin(&mount, None);
        }
        Ok(true)
    }

    /// Asks after a few articles of a mount that can be played. One whose articles are gone fails, which
    /// two events tell: `failed` and `dead`. `false` if there is no such mount.
    ///
    /// # Errors
    /// Why it does not play any more, or that no provider answers: then it stays as it is.
    pub async fn recheck(&self, id: MountId) -> Result<bool, Failure> {
        let mount = self.mount(id);
        let Some(mount) = mount.filter(|mount| mount.status().state.is_playable()) else {
            return Ok(false);
        };
        self.0.recheck(&mount).await.map(|()| true)
    }

    /// Gives a mount another category and name. `false` if there is no such mount.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Taken`]; a store that fails.
    pub async fn rename(&self, id: MountId, category: &str, name: &str) -> Result<bool, Error> {
        let _turn = self.0.turn.lock().await;
        let Some(mount) = self.mount(id) else {
            return Ok(false);
        };
        let category = Core::check_name("category", category)?;
        let name = Core::check_name("name", name)?;
        if self
            .mount_named(&category, &name)
            .is_some_and(|other| other.id != id)
        {
            return Err(Error::Taken { category, name });
        }
        self.0.store.rename_import(id.0, &category, &name).await?;
        let text = format!("{category}/{name}");
        let mut mounts = self
            .0
            .mounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mounts.by_name.remove(&place(&mount));
        mount.update(|status| (status.category, status.name) = (category, name));
        mounts.by_name.insert(place(&mount), id);
        drop(mounts);
        self.0.events.send(id, "renamed", text);
        Ok(true)
    }

    /// Keeps a mount whatever its age, or no longer. `false` if there is no such mount.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn keep(&self, id: MountId, is_kept: bool) -> Result<bool, Error> {
        let Some(mount) = self.mount(id) else {
            return Ok(false);
        };
        self.0.store.keep_import(id.0, is_kept).await?;
        mount.is_kept.store(is_kept, Ordering::Relaxed);
        mount.update(|status| status.is_kept = is_kept);
        Ok(true)
    }

    /// Every change of state from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// The providers, in the order of the settings.
    pub fn providers(&self) -> Vec<ProviderStatus> {
        self.0.articles.pool.status()
    }

    /// Ends imports, readers and connections. What was accepted goes on at the next start.
    pub async fn close(&self) {
        let core = &self.0;
        core.imports().clear();
        core.upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for mount in self.mounts() {
            save_use(core, &mount).await;
            mount.close();
        }
        let mut mounts = core.mounts.write().unwrap_or_else(PoisonError::into_inner);
        *mounts = Mounts::default();
        drop(mounts);
        core.articles.pool.close();
    }
}

fn open_disk(settings: &Settings) -> Result<Option<Disk>, Error> {
    let (Some(folder), 1..) = (&settings.cache_dir, settings.cache_disk_bytes) else {
        return Ok(None);
    };
    let disk = Disk::open(folder, settings.cache_disk_bytes);
    disk.map(Some).map_err(|source| Error::Folder {
        path: folder.clone(),
        source,
    })
}

fn enter(core: &Arc<Core>, content: ContentId, record: Record) -> Arc<Mount> {
    let mount = Arc::new(Mount::new(Arc::downgrade(core), content, record));
    let mut mounts = core.mounts.write().unwrap_or_else(PoisonError::into_inner);
    mounts.by_id.insert(mount.id, mount.clone());
    mounts.by_content.insert(content, mount.id);
    mounts.by_name.insert(place(&mount), mount.id);
    mount
}

/// Where a mount is shown.
fn place(mount: &Mount) -> (String, String) {
    let status = mount.status();
    (status.category.clone(), status.name.clone())
}

/// Deletes what is too old, and drops the maps that nobody reads.
async fn look_after(usenet: &Usenet) {
    let now = unix_ms();
    let ttl = usenet.0.settings.mount_ttl;
    let ttl_ms = ttl.map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
    for mount in usenet.mounts() {
        let unused_ms = now - mount.used_ms.load(Ordering::Relaxed);
        let is_kept = mount.is_kept.load(Ordering::Relaxed);
        if !is_kept && ttl_ms.is_some_and(|ttl_ms| unused_ms >= ttl_ms) {
            if let Err(error) = usenet.delete(mount.id).await {
                tracing::warn!(mount = %mount.id, %error, "an aged mount could not be deleted");
            }
            continue;
        }
        save_use(&usenet.0, &mount).await;
        if unused_ms > UNLOAD_MS {
            mount.unload();
        }
    }
}

/// Writes down when a mount was last used, if that is later than what the store has.
async fn save_use(core: &Core, mount: &Mount) {
    let used_ms = mount.used_ms.load(Ordering::Relaxed);
    if used_ms <= mount.saved_ms.swap(used_ms, Ordering::Relaxed) {
        return;
    }
    if let Err(error) = core.store.touch_import(mount.id.0, used_ms).await {
        tracing::debug!(mount = %mount.id, %error, "when a mount was used could not be saved");
    }
}

/// 32 bytes of hexadecimal digits; zeros for what is none.
fn unhex(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    out
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
