//! The map of a mount's files while somebody uses it: layouts, the post below them, and the holes.
//!
//! Layouts are replaced as headers are verified; readers notice by the edition and plan again. Locks are
//! held for moments.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use nzb::archive::{Certainty, Keys};
use nzb::yenc::Part;

use crate::ReadError;
use crate::article::Miss;
use crate::import::{Analysis, Engine, Fetched, Found, Imported, analyse};
use crate::post::{At, Post};

/// Articles fetched at once to verify what lies behind the first volumes.
const BATCH: usize = 8;

#[derive(Debug)]
pub(crate) struct Mapped {
    post: RwLock<Post>,
    files: RwLock<Arc<Files>>,
    keys: Mutex<Keys>,
    title: String,
    /// Volumes whose header is gone, and whose length says that it was like the others'.
    believed: Mutex<BTreeSet<u32>>,
    /// One analysis at a time, so that a later one never knows less.
    turn: tokio::sync::Mutex<()>,
}

/// The files, in the post's order.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) edition: u64,
    pub(crate) found: Vec<Found>,
}

impl Mapped {
    pub(crate) fn new(imported: Imported, title: String) -> Self {
        let files = Files {
            edition: 0,
            found: imported.files,
        };
        Self {
            post: RwLock::new(imported.post),
            files: RwLock::new(Arc::new(files)),
            keys: Mutex::new(imported.keys),
            title,
            believed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn post(&self) -> RwLockReadGuard<'_, Post> {
        self.post.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn files(&self) -> Arc<Files> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.clone()
    }

    /// Takes in an article's header. `false` if it cannot belong to the file.
    pub(crate) fn learn(&self, at: At, part: &Part) -> bool {
        let mut post = self.post.write().unwrap_or_else(PoisonError::into_inner);
        let learned = post.learn(at, part);
        if let Err(contradiction) = &learned {
            tracing::debug!(?at, %contradiction, "article of another file");
        }
        learned.is_ok()
    }

    pub(crate) fn is_believed(&self, file: u32) -> bool {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        believed.contains(&file)
    }

    /// Reads the header of a volume that was only inferred, and maps anew.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        engine: &Engine,
        file: u32,
    ) -> Result<(), ReadError> {
        let front = At { file, segment: 0 };
        if self.post().size(file).is_some() && !self.is_provisional(file) {
            return Ok(());
        }
        let gone = self.fetch(engine, BTreeSet::from([front])).await?;
        if gone > 0 {
            return self.believe(engine, file).await;
        }
        self.remap(false).await?;
        if self.is_provisional(file) {
            // Its header says nothing that the map could use.
            return self.believe(engine, file).await;
        }
        Ok(())
    }

    /// A volume without a header that can be read: another article tells its length.
    async fn believe(self: &Arc<Self>, engine: &Engine, file: u32) -> Result<(), ReadError> {
        if self.post().size(file).is_none() {
            self.fetch(engine, BTreeSet::from([At { file, segment: 1 }]))
                .await?;
        }
        let size = self.post().size(file);
        let is_like_others = size.is_some() && self.neighbours(file).contains(&size);
        if !is_like_others {
            let text = format!("volume {file} has no header that can be read");
            return Err(ReadError::Map(text));
        }
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        believed.insert(file);
        Ok(())
    }

    /// Lengths of the posted files that are used together with this one.
    fn neighbours(&self, file: u32) -> Vec<Option<u64>> {
        let post = self.post();
        let files = self.files();
        let with_it = |found: &&Found| found.posted().iter().any(|(other, _)| *other == file);
        let together = files.found.iter().filter(with_it).flat_map(Found::posted);
        let others = together.filter(|&(other, _)| other != file);
        others
            .map(|(other, _)| post.size(other))
            .filter(Option::is_some)
            .collect()
    }

    fn is_provisional(&self, file: u32) -> bool {
        let files = self.files();
        let mut pieces = files.found.iter().flat_map(Found::posted);
        pieces.any(|(other, certainty)| other == file && certainty == Certainty::Provisional)
    }

    async fn fetch(&self, engine: &Engine, wants: BTreeSet<At>) -> Result<usize, ReadError> {
        let asked = {
            let post = self.post();
            wants.into_iter().filter(|at| !post.is_dead(*at)).collect()
        };
        let fetched = engine.flight(|at| self.names(at), &asked).await;
        self.take(fetched)
    }

    fn names(&self, at: At) -> Vec<nzb::nntp::MessageId> {
        self.post().ids(at)
    }

    fn take(&self, fetched: Vec<Fetched>) -> Result<usize, ReadError> {
        let mut gone = 0;
        for (at, result) in fetched {
            let is_good = match result {
                Ok((part, chunks)) => {
                    let is_good = self.learn(at, &part);
                    let mut post = self.post.write().unwrap_or_else(PoisonError::into_inner);
                    if is_good {
                        post.hold(at, part.begin, chunks);
                    }
                    is_good
                }
                Err(miss @ Miss::Unavailable(_)) => {
                    let id = self.names(at).into_iter().next();
                    return Err(id.map_or(ReadError::Closed, |id| miss.error(&id)));
                }
                Err(Miss::Missing | Miss::Damaged { .. }) => false,
            };
            if !is_good {
                gone += 1;
                let mut post = self.post.write().unwrap_or_else(PoisonError::into_inner);
                post.bury(at);
            }
        }
        Ok(gone)
    }

    /// Analyses again, and replaces the layouts. What it would still like to see is given back.
    async fn remap(self: &Arc<Self>, is_eager: bool) -> Result<BTreeSet<At>, ReadError> {
        // Nothing is fetched under it: a player must not wait for what nobody waits for.
        let _turn = self.turn.lock().await;
        let this = self.clone();
        let work = move || {
            let mut keys = this.keys.lock().unwrap_or_else(PoisonError::into_inner);
            analyse(&this.post(), &mut keys, &this.title, is_eager)
        };
        let analysis = match tokio::task::spawn_blocking(work).await {
            Ok(analysis) => analysis,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Analysis {
            files: found,
            wants,
            read,
            ..
        } = analysis;
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(old, new): (&Found, &Found)| (&old.path, old.size) == (&new.path, new.size);
        if found.len() != files.found.len() || !files.found.iter().zip(&found).all(is_same) {
            if wants.is_empty() {
                return Err(ReadError::Map(
                    "its volumes hold other files than the first ones said".to_owned(),
                ));
            }
            return Ok(wants);
        }
        let edition = files.edition + 1;
        *files = Arc::new(Files { edition, found });
        drop(files);
        let mut post = self.post.write().unwrap_or_else(PoisonError::into_inner);
        post.compact(&read);
        Ok(wants)
    }

    /// Reads all headers that were not needed to play.
    pub(crate) async fn verify_all(self: &Arc<Self>, engine: &Engine) -> Result<(), ReadError> {
        let mut asked = BTreeSet::new();
        loop {
            let wants = self.remap(true).await?;
            let batch: BTreeSet<At> = wants.difference(&asked).copied().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            asked.extend(batch.iter().copied());
            self.fetch(engine, batch).await?;
        }
    }
}
