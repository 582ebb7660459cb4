//! Articles that memory has no room for, on disk: what was paid for once need not be fetched again.
//!
//! One task writes, and drops what it has no time for: nothing ever waits for the disk but the reader of an
//! article that is only there. What the files hold is checked when it is read. The folder is emptied at start:
//! the index is in memory.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nzb::nntp::MessageId;
use nzb::yenc::Part;
use tokio::sync::mpsc;

use crate::article::Article;

/// Articles that wait to be written; more are dropped.
const WAITING_MAX: usize = 64;
/// How the files of this cache end, so that nothing else in the folder is ever deleted.
const ENDING: &str = "article";

#[derive(Debug)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
    waiting: mpsc::Sender<Arc<Article>>,
    _writer: task::Owned,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    bytes_max: u64,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    kept: HashMap<MessageId, Kept>,
    /// The oldest first.
    order: VecDeque<MessageId>,
    bytes: u64,
    files: u64,
}

/// An article on disk.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    part: Arc<Part>,
    file: PathBuf,
    crc: u32,
}

impl Disk {
    /// Empties the folder, or makes it.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub(crate) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                std::fs::remove_file(path)?;
            }
        }
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            bytes_max,
            index: Mutex::default(),
        });
        let (waiting, mut articles) = mpsc::channel::<Arc<Article>>(WAITING_MAX);
        let writer = shared.clone();
        let writing = async move {
            while let Some(article) = articles.recv().await {
                let shared = writer.clone();
                let work = move || shared.write(&article);
                if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
                    tracing::warn!(%error, "an article could not be kept on disk");
                }
            }
        };
        Ok(Self {
            shared,
            waiting,
            _writer: task::spawn_owned("disk", tracing::info_span!("disk"), writing),
        })
    }

    /// Keeps a whole article that leaves memory, if there is time.
    pub(crate) fn keep(&self, article: Arc<Article>) {
        // Full: it is fetched again when it is wanted again.
        drop(self.waiting.try_send(article));
    }

    pub(crate) fn find(&self, id: &MessageId) -> Option<Kept> {
        let index = self
            .shared
            .index
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        index.kept.get(id).cloned()
    }
}

impl Kept {
    /// Brings the article back. `false` if the file does not hold it any more.
    pub(crate) async fn load(self, article: &Article) -> bool {
        let Ok(bytes) = tokio::fs::read(&self.file).await else {
            return false;
        };
        if bytes.len() as u64 != self.part.len() || crc32fast::hash(&bytes) != self.crc {
            return false;
        }
        article.header(self.part);
        if !bytes.is_empty() {
            article.push(bytes.into());
        }
        article.finish();
        true
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, article: &Article) -> io::Result<()> {
        let (part, chunks): (_, Vec<Bytes>) = {
            let state = article.state();
            let Some(part) = state.part.clone() else {
                return Ok(());
            };
            (part, state.chunks.clone())
        };
        let file = {
            let mut index = self.lock();
            if index.kept.contains_key(&article.id) {
                return Ok(());
            }
            index.files += 1;
            self.folder.join(format!("{}.{ENDING}", index.files))
        };
        let bytes = chunks.concat();
        std::fs::write(&file, &bytes)?;
        let kept = Kept {
            crc: crc32fast::hash(&bytes),
            part,
            file,
        };
        let mut index = self.lock();
        index.bytes += bytes.len() as u64;
        index.order.push_back(article.id.clone());
        index.kept.insert(article.id.clone(), kept);
        let mut old = Vec::new();
        while index.bytes > self.bytes_max {
            let Some(oldest) = index.order.pop_front() else {
                break;
            };
            if let Some(kept) = index.kept.remove(&oldest) {
                index.bytes -= kept.part.len();
                old.push(kept.file);
            }
        }
        drop(index);
        // Whoever has it open reads on.
        old.into_iter().try_for_each(std::fs::remove_file)
    }
}
