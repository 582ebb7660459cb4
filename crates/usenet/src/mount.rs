//! A mounted post: its state and its files.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base::Redacted;
use nzb::document::ContentId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::article::Lane;
use crate::core::Core;
use crate::import::Engine;
use crate::mapped::Mapped;
use crate::record::Record;
use crate::usenet::unix_ms;
use crate::{Code, Failure, File, FileInfo, ReadError, Selector};

/// A mount's number: never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MountId(pub i64);

impl fmt::Display for MountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far an import came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is kept and waits for its turn.
    Accepted,
    /// Its first articles are on their way.
    Probing,
    /// Its files can be played.
    Streamable,
    /// All headers were read: every byte's place is known.
    Verified,
    /// All is done.
    Completed,
    /// It cannot be played.
    Failed,
}

impl State {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [
            Self::Accepted,
            Self::Probing,
            Self::Streamable,
            Self::Verified,
            Self::Completed,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }

    /// The word, as in events and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Probing => "probing",
            Self::Streamable => "streamable",
            Self::Verified => "verified",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether files can be played.
    pub const fn is_playable(self) -> bool {
        matches!(self, Self::Streamable | Self::Verified | Self::Completed)
    }
}

/// A mount as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// How far it came.
    pub state: State,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Its name: the NZB's, without `.nzb` and password.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Whether it is kept whatever its age.
    pub is_kept: bool,
    /// Its files, in the post's order; all of them once it is streamable.
    pub files: Vec<FileInfo>,
    /// Encoded bytes that the NZB says it has.
    pub bytes: u64,
    /// Articles of the post.
    pub articles: u64,
    /// Articles known to be missing at every provider.
    pub missing: u64,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When the state last changed.
    pub updated_ms: i64,
}

/// A mounted post.
pub struct Mount {
    pub(crate) id: MountId,
    pub(crate) content: ContentId,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) password: Mutex<Option<Redacted<String>>>,
    core: Weak<Core>,
    mapped: tokio::sync::Mutex<Option<Arc<Mapped>>>,
    /// Articles that were made up for: posted file, and where they begin in it.
    holes: Mutex<BTreeSet<(u32, u64)>>,
    /// When it was last read, in milliseconds since the Unix epoch.
    pub(crate) used_ms: AtomicI64,
    /// What the store has of it.
    pub(crate) saved_ms: AtomicI64,
    pub(crate) is_kept: AtomicBool,
    /// It was deleted, or the engine stops.
    is_closed: AtomicBool,
}

/// Holes of a mount that are filled, one behind the other and in all; of its bytes one in fifty at most.
const HOLES_IN_ROW_MAX: usize = 4;
const HOLES_MAX: usize = 64;
const HOLES_SHARE: u64 = 50;

impl Mount {
    /// Its number.
    pub fn id(&self) -> MountId {
        self.id
    }

    /// Who it is: the same for the same articles under any name.
    pub fn content_id(&self) -> ContentId {
        self.content
    }

    /// As it is now.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// Every change from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.status.subscribe()
    }

    /// The file at `path`, if it can be read.
    pub fn file(self: &Arc<Self>, path: &str) -> Option<File> {
        let status = self.status();
        let index = status.files.iter().position(|info| info.path == path)?;
        self.open(&status, index)
    }

    /// The files that can be read and that `selector` asks for: media, largest first.
    pub fn pick(self: &Arc<Self>, selector: Selector) -> Vec<File> {
        let status = self.status();
        let mut found = crate::select::pick(&status.files, selector);
        found.sort_by_key(|&index| std::cmp::Reverse(status.files[index].size));
        found
            .into_iter()
            .filter_map(|index| self.open(&status, index))
            .collect()
    }

    /// Waits until the post can be played and gives what `selector` asks for, one file at least.
    ///
    /// # Errors
    /// The post's failure; [`Code::NoMedia`] if it plays but has nothing that was asked for;
    /// [`Code::Timeout`] at `deadline`: the import goes on.
    pub async fn ready(
        self: &Arc<Self>,
        selector: Selector,
        deadline: Instant,
    ) -> Result<Vec<File>, Failure> {
        let mut changes = self.watch();
        let settled =
            changes.wait_for(|status| status.state.is_playable() || status.state == State::Failed);
        let status = match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(status)) => status.clone(),
            Ok(Err(_)) | Err(_) => {
                return Err(Failure::new(
                    Code::Timeout,
                    "not ready within the time given",
                ));
            }
        };
        if let Some(failure) = &status.failure {
            return Err(failure.clone());
        }
        let files = self.pick(selector);
        if files.is_empty() {
            return Err(crate::select::nothing(&status.files, selector));
        }
        Ok(files)
    }

    /// The file at this place of [`Status::files`], if it can be read.
    pub fn file_at(self: &Arc<Self>, index: usize) -> Option<File> {
        self.open(&self.status(), index)
    }

    fn open(self: &Arc<Self>, status: &Status, index: usize) -> Option<File> {
        let info = status.files.get(index)?;
        let is_readable = status.state.is_playable() && info.failure.is_none();
        is_readable.then(|| File {
            mount: self.clone(),
            index,
            info: info.clone(),
        })
    }

    pub(crate) fn etag(&self, index: usize, info: &FileInfo) -> String {
        let holes = self.holes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hash = Sha256::new();
        hash.update(self.content.0);
        hash.update(index.to_be_bytes());
        hash.update(info.size.to_be_bytes());
        for (file, begin) in holes.iter() {
            hash.update(file.to_be_bytes());
            hash.update(begin.to_be_bytes());
        }
        let digest = hash.finalize();
        let hex: String = digest[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("\"{hex}\"")
    }

    pub(crate) fn new(core: Weak<Core>, content: ContentId, record: Record) -> Self {
        Self {
            id: record.id,
            content,
            status: watch::Sender::new(Arc::new(record.status)),
            password: Mutex::new(record.password),
            core,
            mapped: tokio::sync::Mutex::default(),
            holes: Mutex::default(),
            used_ms: AtomicI64::new(record.used_ms),
            saved_ms: AtomicI64::new(record.used_ms),
            is_kept: AtomicBool::new(record.is_kept),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Where its bytes are; of a mount from before a restart its headers are fetched again.
    pub(crate) async fn mapped(self: &Arc<Self>) -> Result<Arc<Mapped>, ReadError> {
        self.used_ms.store(unix_ms(), Ordering::Relaxed);
        let mut mapped = self.mapped.lock().await;
        if let Some(mapped) = &*mapped {
            return Ok(mapped.clone());
        }
        let core = self.core.upgrade().ok_or(ReadError::Closed)?;
        let found = core.map_again(self).await?;
        Ok(mapped.insert(Arc::new(found)).clone())
    }

    pub(crate) async fn set_mapped(&self, mapped: Option<Arc<Mapped>>) {
        *self.mapped.lock().await = mapped;
    }

    /// Drops the map of a mount that nobody reads.
    pub(crate) fn unload(&self) {
        if let Ok(mut mapped) = self.mapped.try_lock()
            && mapped
                .as_ref()
                .is_some_and(|mapped| Arc::strong_count(mapped) == 1)
        {
            *mapped = None;
        }
    }

    /// `None` once it is closed.
    pub(crate) fn engine(&self, lane: Lane) -> Option<Engine> {
        let core = self.core.upgrade().filter(|_| !self.is_closed())?;
        Some(core.engine(lane))
    }

    /// Ends its readers.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            change(status);
            status.updated_ms = unix_ms();
        });
    }

    /// Asks to make up for an article that nobody has. `false` if there are too many of them.
    pub(crate) fn fill(&self, file: u32, begin: u64, len: u64, size: u64) -> bool {
        let mut holes = self.holes.lock().unwrap_or_else(PoisonError::into_inner);
        if holes.contains(&(file, begin)) {
            return true;
        }
        let in_row = |step: i64| {
            (1..=HOLES_IN_ROW_MAX as i64)
                .take_while(|number| {
                    let other = begin.checked_add_signed(step * number * len.cast_signed());
                    other.is_some_and(|other| holes.contains(&(file, other)))
                })
                .count()
        };
        let is_run = in_row(-1) + in_row(1) >= HOLES_IN_ROW_MAX;
        // One is made up for in the shortest file.
        let share = (size / HOLES_SHARE).max(len);
        let is_too_much = (holes.len() as u64 + 1).saturating_mul(len) > share;
        if is_run || is_too_much || holes.len() >= HOLES_MAX {
            return false;
        }
        holes.insert((file, begin));
        let count = holes.len() as u64;
        drop(holes);
        tracing::warn!(mount = %self.id, file, begin, len, "an article is missing at every provider: its place is filled");
        self.update(|status| status.missing = status.missing.max(count));
        true
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mount").field(&self.id).finish()
    }
}
