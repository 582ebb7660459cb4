//! Whether files are there, where the answer may never come: a dead network mount holds whoever looks.
//! One thread looks at a time, however many ask.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Looks for files.
#[derive(Debug)]
pub(crate) struct Looks(Arc<Semaphore>);

/// For all files of a list together.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Default for Looks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Looks {
    /// Whether each of these is there. What was not seen in time is left out, the last first.
    pub(super) async fn look(&self, paths: Vec<PathBuf>) -> HashMap<PathBuf, bool> {
        let is_there = |path: &Path| path.try_exists().unwrap_or(false);
        self.look_by(paths, TIMEOUT, is_there).await
    }

    async fn look_by(
        &self,
        paths: Vec<PathBuf>,
        timeout: Duration,
        is_there: impl Fn(&Path) -> bool + Send + 'static,
    ) -> HashMap<PathBuf, bool> {
        if paths.is_empty() {
            return HashMap::new();
        }
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let watched = Arc::downgrade(&seen);
        let look = async {
            let turn = self.0.clone().acquire_owned().await;
            let looking = tokio::task::spawn_blocking(move || {
                for path in paths {
                    let is_there = is_there(&path);
                    // Else nobody waits for it any more.
                    let Some(seen) = watched.upgrade() else { break };
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.insert(path, is_there);
                }
                drop(turn);
            });
            looking.await
        };
        // Late: what was seen until now counts.
        let _ = tokio::time::timeout(timeout, look).await;
        std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_dead_mount_holds_one_thread_and_nobody_for_long() {
        const SHORT: Duration = Duration::from_millis(50);
        const LISTS: usize = 5;
        let looks = Looks::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let (revive, dead) = mpsc::channel::<()>();
        let dead = Arc::new(Mutex::new(dead));
        let is_there = || {
            let (begun, dead) = (begun.clone(), dead.clone());
            move |path: &Path| {
                begun.fetch_add(1, Ordering::Relaxed);
                if path == Path::new("dead") {
                    let _ = dead.lock().unwrap().recv();
                }
                true
            }
        };
        let paths = || ["here", "dead", "behind"].map(PathBuf::from).to_vec();
        let seen = looks.look_by(paths(), SHORT, is_there()).await;
        assert_eq!(seen, HashMap::from([(PathBuf::from("here"), true)]));
        for _ in 1..LISTS {
            let seen = looks.look_by(paths(), SHORT, is_there()).await;
            assert_eq!(seen, HashMap::new());
        }
        assert_eq!(begun.load(Ordering::Relaxed), 2, "one look is in flight");
        drop(revive);
        let seen = looks.look_by(paths(), Duration::from_secs(30), is_there());
        assert_eq!(seen.await.len(), 3);
    }
}
