//! Sessions: when each was last used, and which were ended.

use std::collections::{HashMap, HashSet};

use crate::{Refused, SessionId};

/// Sessions that are remembered. When there are more, those that have been idle longest are forgotten,
/// a sixteenth of all at a time, and their grants end.
pub const SESSIONS_MAX: usize = 100_000;
/// Sessions that were ended one by one. More are ended by revoking what they watch.
pub(crate) const REVOKED_MAX: usize = 100_000;

/// Of the time that a session may be idle, what a restart may take from it: uses are saved no more often.
const STALE_PART: i64 = 100;

/// A session as it is kept across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedSession {
    /// Which.
    pub id: SessionId,
    /// Its last use, in milliseconds since the Unix epoch.
    pub used_ms: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    seen: HashMap<SessionId, Seen>,
    revoked: HashSet<SessionId>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    used_ms: i64,
    saved_ms: i64,
}

impl Sessions {
    /// Notes a use. One that is new must come while `may_start`, a known one within `idle_ms` of its
    /// last use.
    pub(crate) fn touch(
        &mut self,
        id: SessionId,
        now_ms: i64,
        idle_ms: i64,
        may_start: bool,
    ) -> Result<(), Refused> {
        if let Some(seen) = self.seen.get_mut(&id) {
            if now_ms.saturating_sub(seen.used_ms) <= idle_ms {
                seen.used_ms = seen.used_ms.max(now_ms);
                return Ok(());
            }
            self.seen.remove(&id);
            return Err(Refused::Expired);
        }
        if !may_start {
            return Err(Refused::Expired);
        }
        self.make_room();
        let saved_ms = i64::MIN;
        self.seen.insert(
            id,
            Seen {
                used_ms: now_ms,
                saved_ms,
            },
        );
        Ok(())
    }

    pub(crate) fn is_revoked(&self, id: SessionId) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&id)
    }

    /// False when no more can be remembered.
    pub(crate) fn revoke(&mut self, id: SessionId) -> bool {
        if self.revoked.len() >= REVOKED_MAX && !self.revoked.contains(&id) {
            return false;
        }
        self.seen.remove(&id);
        self.revoked.insert(id);
        true
    }

    /// Uses that were not handed out before, or a good while before; forgets sessions idle for longer than
    /// `idle_ms`.
    pub(crate) fn unsaved(&mut self, now_ms: i64, idle_ms: i64) -> Vec<SavedSession> {
        self.seen
            .retain(|_, seen| now_ms.saturating_sub(seen.used_ms) <= idle_ms);
        let changed = self
            .seen
            .iter_mut()
            .filter(|(_, seen)| seen.used_ms.saturating_sub(seen.saved_ms) > idle_ms / STALE_PART);
        changed
            .map(|(id, seen)| {
                seen.saved_ms = seen.used_ms;
                SavedSession {
                    id: *id,
                    used_ms: seen.used_ms,
                }
            })
            .collect()
    }

    /// Takes back what an earlier process, or another one, knew. Uses never go back.
    pub(crate) fn restore(&mut self, saved: &[SavedSession], revoked: &[SessionId]) {
        for session in saved.iter().take(SESSIONS_MAX) {
            let seen = self.seen.entry(session.id).or_insert(Seen {
                used_ms: session.used_ms,
                saved_ms: session.used_ms,
            });
            seen.used_ms = seen.used_ms.max(session.used_ms);
        }
        for id in revoked {
            self.revoke(*id);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }

    fn make_room(&mut self) {
        if self.seen.len() < SESSIONS_MAX {
            return;
        }
        let mut uses: Vec<i64> = self.seen.values().map(|seen| seen.used_ms).collect();
        let (_, oldest_kept, _) = uses.select_nth_unstable(SESSIONS_MAX / 16);
        let oldest_kept = *oldest_kept;
        self.seen.retain(|_, seen| seen.used_ms > oldest_kept);
    }
}
