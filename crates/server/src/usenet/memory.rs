//! What the faces remember until the next start; nothing hangs on it that must survive one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use usenet::MountId;

use super::UsenetFace;

/// An NZB that was put into `/webdav/nzbs/`: clients look whether it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    /// Below `nzbs/`.
    pub(crate) path: String,
    /// What it was mounted as.
    pub(crate) mount: MountId,
    pub(crate) bytes: u64,
    pub(crate) at_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    dropped: BTreeMap<String, Dropped>,
    /// Mounts whose files could not be written.
    owed: HashSet<MountId>,
    /// Taken out of SABnzbd's history by its reader.
    hidden: HashSet<MountId>,
    /// The ids of Stremio's under which posts were asked for.
    ids: HashMap<MountId, HashSet<String>>,
}

/// Beyond this the oldest go.
const DROPPED_MAX: usize = 1000;
/// Beyond these all go, which at most shows something once more.
const HIDDEN_MAX: usize = 100_000;
const IDS_MAX: usize = 100_000;
const IDS_OF_ONE_MAX: usize = 100;
/// `tt` and ten digits, season and episode; longer is none of Stremio's.
const ID_BYTES_MAX: usize = 40;

impl Memory {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsenetFace {
    pub(super) fn drop_in(&self, dropped: Dropped) {
        let mut notes = self.memory.notes();
        if notes.dropped.len() == DROPPED_MAX
            && let Some(oldest) = notes.dropped.values().min_by_key(|nzb| nzb.at_ms)
        {
            let oldest = oldest.path.clone();
            notes.dropped.remove(&oldest);
        }
        notes.dropped.insert(dropped.path.clone(), dropped);
    }

    pub(super) fn dropped(&self, path: &str) -> Option<Dropped> {
        self.memory.notes().dropped.get(path).cloned()
    }

    pub(super) fn all_dropped(&self) -> Vec<(String, Dropped)> {
        let notes = self.memory.notes();
        let all = notes.dropped.iter();
        all.map(|(path, nzb)| (path.clone(), nzb.clone())).collect()
    }

    pub(super) fn forget_dropped(&self, path: &str) {
        self.memory.notes().dropped.remove(path);
    }

    /// Notes whether the files of a mount are still to be written; whether that is new.
    pub(super) fn set_owed(&self, id: MountId, is_owed: bool) -> bool {
        let mut notes = self.memory.notes();
        // The engine deletes by age.
        notes.owed.retain(|id| self.engine.mount(*id).is_some());
        if is_owed {
            notes.owed.insert(id)
        } else {
            notes.owed.remove(&id)
        }
    }

    pub(super) fn is_owed(&self, id: MountId) -> bool {
        self.memory.notes().owed.contains(&id)
    }

    pub(super) fn hide_from_history(&self, id: MountId) {
        let mut notes = self.memory.notes();
        if notes.hidden.len() >= HIDDEN_MAX {
            notes.hidden.clear();
        }
        notes.hidden.insert(id);
    }

    pub(super) fn shown_in_history(&self, id: MountId) {
        self.memory.notes().hidden.remove(&id);
    }

    pub(super) fn is_hidden_from_history(&self, id: MountId) -> bool {
        self.memory.notes().hidden.contains(&id)
    }

    /// Notes that a post was asked for under an id of Stremio's.
    pub(super) fn asked_as(&self, mount: MountId, id: &str) {
        let mut notes = self.memory.notes();
        if notes.ids.len() >= IDS_MAX {
            notes.ids.clear();
        }
        let ids = notes.ids.entry(mount).or_default();
        if ids.len() < IDS_OF_ONE_MAX && id.len() <= ID_BYTES_MAX {
            ids.insert(id.to_owned());
        }
    }

    pub(super) fn was_asked_as(&self, mount: MountId, id: &str) -> bool {
        let notes = self.memory.notes();
        notes.ids.get(&mount).is_some_and(|ids| ids.contains(id))
    }
}
