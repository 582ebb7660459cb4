//! What the faces note of mounts. It is kept with them in the store, and goes with them; which files of
//! the library are still to be written is found out anew at each start.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use store::Store;
use usenet::MountId;

use super::UsenetFace;

/// An NZB that was put into `/webdav/nzbs/`: clients look whether it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    /// Below `nzbs/`.
    pub(crate) path: String,
    /// What it was mounted as.
    pub(crate) mount: MountId,
    pub(crate) bytes: u64,
    pub(crate) at_ms: i64,
}

#[derive(Debug)]
pub(super) struct Memory {
    notes: Mutex<HashMap<MountId, Notes>>,
    /// Mounts whose files could not be written.
    owed: Mutex<HashSet<MountId>>,
    store: Store,
    /// One is saved after the other, so that the newest stays.
    saving: tokio::sync::Mutex<()>,
}

/// Of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Notes {
    /// Taken out of SABnzbd's history by its reader.
    is_hidden: bool,
    /// The ids of Stremio's under which it was asked for.
    ids: BTreeSet<String>,
    dropped: Vec<Dropped>,
}

/// Of all mounts; beyond this the oldest go.
const DROPPED_MAX: usize = 1000;
const IDS_OF_ONE_MAX: usize = 100;
/// `tt` and ten digits, season and episode; longer is none of Stremio's.
const ID_BYTES_MAX: usize = 40;

impl Memory {
    /// With what the store has.
    ///
    /// # Errors
    /// A store that fails.
    pub(super) async fn open(store: &Store) -> Result<Self, store::Error> {
        let kept = store.import_notes().await?.into_iter();
        let read = |(id, text): (i64, String)| match serde_json::from_str(&text) {
            Ok(notes) => Some((MountId(id), notes)),
            Err(error) => {
                tracing::warn!(mount = id, %error, "what was noted of a mount cannot be read");
                None
            }
        };
        Ok(Self {
            notes: Mutex::new(kept.filter_map(read).collect()),
            owed: Mutex::default(),
            store: store.clone(),
            saving: tokio::sync::Mutex::default(),
        })
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<MountId, Notes>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UsenetFace {
    /// Changes what is noted of a mount, for as long as there is that mount.
    async fn note(&self, id: MountId, change: impl FnOnce(&mut Notes)) {
        let _turn = self.memory.saving.lock().await;
        let text = {
            let mut all = self.memory.notes();
            all.retain(|id, _| self.engine.mount(*id).is_some());
            let before = all.get(&id).cloned().unwrap_or_default();
            let mut notes = before.clone();
            change(&mut notes);
            if notes == before {
                return;
            }
            let text = serde_json::to_string(&notes).expect("texts and numbers can be written");
            all.insert(id, notes);
            text
        };
        if let Err(error) = self.memory.store.set_import_notes(id.0, &text).await {
            tracing::warn!(mount = %id, %error, "what was noted of a mount could not be saved");
        }
    }

    pub(super) async fn drop_in(&self, dropped: Dropped) {
        self.forget_dropped(&dropped.path).await;
        let all = self.all_dropped();
        if all.len() >= DROPPED_MAX
            && let Some(oldest) = all.iter().min_by_key(|nzb| nzb.at_ms)
        {
            self.forget_dropped(&oldest.path).await;
        }
        let mount = dropped.mount;
        self.note(mount, |notes| notes.dropped.push(dropped)).await;
    }

    pub(super) fn dropped(&self, path: &str) -> Option<Dropped> {
        let notes = self.memory.notes();
        let mut all = notes.values().flat_map(|notes| &notes.dropped);
        all.find(|nzb| nzb.path == path).cloned()
    }

    /// By path.
    pub(super) fn all_dropped(&self) -> Vec<Dropped> {
        let notes = self.memory.notes();
        let all = notes.values().flat_map(|notes| &notes.dropped);
        let mut all: Vec<_> = all.cloned().collect();
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        all
    }

    pub(super) async fn forget_dropped(&self, path: &str) {
        if let Some(nzb) = self.dropped(path) {
            let others = |notes: &mut Notes| notes.dropped.retain(|nzb| nzb.path != path);
            self.note(nzb.mount, others).await;
        }
    }

    /// Notes whether the files of a mount are still to be written; whether that is new.
    pub(super) fn set_owed(&self, id: MountId, is_owed: bool) -> bool {
        let mut owed = self.owed();
        // The engine deletes by age.
        owed.retain(|id| self.engine.mount(*id).is_some());
        if is_owed {
            owed.insert(id)
        } else {
            owed.remove(&id)
        }
    }

    pub(super) fn is_owed(&self, id: MountId) -> bool {
        self.owed().contains(&id)
    }

    fn owed(&self) -> MutexGuard<'_, HashSet<MountId>> {
        let owed = self.memory.owed.lock();
        owed.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn set_hidden_from_history(&self, id: MountId, is_hidden: bool) {
        self.note(id, |notes| notes.is_hidden = is_hidden).await;
    }

    pub(super) fn is_hidden_from_history(&self, id: MountId) -> bool {
        let notes = self.memory.notes();
        notes.get(&id).is_some_and(|notes| notes.is_hidden)
    }

    /// Notes that a post was asked for under an id of Stremio's.
    pub(super) async fn asked_as(&self, mount: MountId, id: &str) {
        let add = |notes: &mut Notes| notes.asked_as(id);
        self.note(mount, add).await;
    }

    pub(super) fn was_asked_as(&self, mount: MountId, id: &str) -> bool {
        let notes = self.memory.notes();
        (notes.get(&mount)).is_some_and(|notes| notes.ids.contains(id))
    }
}

impl Notes {
    fn asked_as(&mut self, id: &str) {
        if self.ids.len() < IDS_OF_ONE_MAX && id.len() <= ID_BYTES_MAX {
            self.ids.insert(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_in_length_and_number() {
        let mut notes = Notes::default();
        notes.asked_as(&format!("tt{}", "1".repeat(300)));
        assert!(notes.ids.is_empty());
        for number in 0..1000 {
            notes.asked_as(&format!("tt0903747:{number}:1"));
        }
        assert_eq!(notes.ids.len(), IDS_OF_ONE_MAX);
    }
}
