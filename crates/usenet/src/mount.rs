//! A mounted post: its state and its files.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use nzb::document::ContentId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Code, Failure, File, FileInfo, Selector};

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
    pub(crate) holes: Mutex<u64>,
}

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
        let holes = *self.holes.lock().unwrap_or_else(PoisonError::into_inner);
        let content = self.content.to_string();
        format!("\"{}-{index:x}-{:x}-{holes:x}\"", &content[..32], info.size)
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mount").field(&self.id).finish()
    }
}
