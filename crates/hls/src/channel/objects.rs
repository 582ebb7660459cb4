//! Keys and initialisation sections of one session: fetched once each, named by their content.

use std::collections::HashMap;
use std::time::Duration;

use base::{ByteRange, Time};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use url::Url;

use crate::timeline::ObjectName;

/// What a segment refers to. `epoch` counts restarts of the source: an encoder that began again may
/// have written another initialisation section under the same URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    pub(super) kind: Kind,
    pub(super) url: Url,
    pub(super) range: Option<ByteRange>,
    pub(super) epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Key,
    Map,
    /// The program tables of a transport stream, standing in for a map.
    Tables,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) name: ObjectName,
    pub(super) body: Bytes,
}

#[derive(Debug)]
enum State {
    Due(Time),
    Fetching,
    Ready(Object),
}

#[derive(Debug, Default)]
pub(super) struct Objects {
    items: HashMap<Reference, Item>,
    uses: u64,
}

#[derive(Debug)]
struct Item {
    state: State,
    failures: u32,
    last_use: u64,
}

/// A source that rotates its key with every segment needs a window's worth; the least used go.
const OBJECTS_MAX: usize = 128;

impl Objects {
    /// The object, if it is there; otherwise it becomes due.
    pub(super) fn get(&mut self, now: Time, reference: &Reference) -> Option<&Object> {
        self.uses += 1;
        if !self.items.contains_key(reference) {
            self.make_room();
            let item = Item {
                state: State::Due(now),
                failures: 0,
                last_use: 0,
            };
            self.items.insert(reference.clone(), item);
        }
        let item = self.items.get_mut(reference)?;
        item.last_use = self.uses;
        match &item.state {
            State::Ready(object) => Some(object),
            State::Due(_) | State::Fetching => None,
        }
    }

    /// How often this object could not be fetched.
    pub(super) fn failures(&self, reference: &Reference) -> u32 {
        self.items.get(reference).map_or(0, |item| item.failures)
    }

    /// Takes up to `max` of the references that are due now; each must be fetched.
    pub(super) fn take_due(&mut self, now: Time, max: usize) -> Vec<Reference> {
        let due = self
            .items
            .iter_mut()
            .filter(|(_, item)| matches!(item.state, State::Due(at) if at <= now));
        due.take(max)
            .map(|(reference, item)| {
                item.state = State::Fetching;
                reference.clone()
            })
            .collect()
    }

    /// Forgets what was not asked for yet: it is asked for under a fresh link, or not at all.
    pub(super) fn forget_due(&mut self) {
        self.items
            .retain(|_, item| !matches!(item.state, State::Due(_)));
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        let due = |item: &Item| {
            if let State::Due(at) = item.state {
                Some(at)
            } else {
                None
            }
        };
        self.items.values().filter_map(due).min()
    }

    pub(super) fn arrived(&mut self, reference: &Reference, body: Bytes) {
        if let Some(item) = self.items.get_mut(reference) {
            item.state = State::Ready(Object {
                name: name(reference.kind, &body),
                body,
            });
            item.failures = 0;
        }
    }

    pub(super) fn failed(&mut self, now: Time, reference: &Reference, wait: Duration) {
        if let Some(item) = self.items.get_mut(reference) {
            item.failures += 1;
            item.state = State::Due(now + wait);
        }
    }

    fn make_room(&mut self) {
        if self.items.len() < OBJECTS_MAX {
            return;
        }
        let oldest = self
            .items
            .iter()
            .min_by_key(|(_, item)| item.last_use)
            .map(|(r, _)| r.clone());
        if let Some(oldest) = oldest {
            self.items.remove(&oldest);
        }
    }
}

/// `key-1f….bin`, `init-9a….mp4`: from the content, so that a name may be cached for ever.
pub(super) fn name(kind: Kind, body: &[u8]) -> ObjectName {
    let digest = Sha256::new()
        .chain_update(b"perennial object")
        .chain_update(body)
        .finalize();
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ObjectName(match kind {
        Kind::Key => format!("key-{hex}.bin").into(),
        Kind::Map => format!("init-{hex}.mp4").into(),
        Kind::Tables => format!("init-{hex}.ts").into(),
    })
}
