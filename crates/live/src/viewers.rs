//! Who watches: counted by what a player sends with every request, without cookies.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Time;
use serde::Serialize;

/// What tells one viewer from another. Players behind one address with one user agent are told apart
/// only if they send a playback session (Apple's `X-Playback-Session-Id`) or hold a grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewerKey {
    /// The address, after trusted proxies.
    pub address: IpAddr,
    /// `User-Agent`, cut to a bounded length.
    pub user_agent: String,
    /// A playback session or a grant.
    pub session: Option<String>,
}

/// A viewer as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Viewer {
    /// For `DELETE /api/v1/viewers/{id}`.
    pub id: String,
    /// Its address.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub user_agent: String,
    /// Seconds since its first request.
    pub watching_s: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// The viewers of one channel.
#[derive(Debug, Default)]
pub struct Viewers {
    seen: Mutex<HashMap<ViewerKey, Seen>>,
    /// Somebody was kicked: only then is it worth looking who.
    any_barred: AtomicBool,
    ids: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Time,
    last: Time,
    bytes: u64,
    barred_until: Option<Time>,
}

/// More at once are served but not told apart.
const VIEWERS_MAX: usize = 20_000;
/// How long a kicked viewer stays out.
const BARRED: Duration = Duration::from_secs(60);

impl Viewers {
    /// False when the viewer was kicked a moment ago.
    pub fn admits(&self, key: &ViewerKey, now: Time) -> bool {
        if !self.any_barred.load(Ordering::Relaxed) {
            return true;
        }
        let barred = self.lock().get(key).and_then(|seen| seen.barred_until);
        barred.is_none_or(|until| now >= until)
    }

    /// Notes a request that is sent `bytes`.
    pub fn seen(&self, key: &ViewerKey, now: Time, bytes: u64) {
        let mut all = self.lock();
        if let Some(seen) = all.get_mut(key) {
            // A request that was let in before the kick does not lift it.
            seen.barred_until = seen.barred_until.filter(|until| now < *until);
            seen.last = now;
            seen.bytes += bytes;
        } else if all.len() < VIEWERS_MAX {
            all.insert(
                key.clone(),
                Seen {
                    first: now,
                    last: now,
                    bytes,
                    barred_until: None,
                },
            );
        }
    }

    /// Forgets who has been away for `idle`.
    pub fn forget(&self, now: Time, idle: Duration) {
        self.lock().retain(|_, seen| {
            now - seen.last <= idle || seen.barred_until.is_some_and(|until| now < until)
        });
    }

    /// Those who watched within `idle`.
    pub fn list(&self, now: Time, idle: Duration) -> Vec<Viewer> {
        let all = self.lock();
        let active = all
            .iter()
            .filter(|(_, seen)| now - seen.last <= idle && seen.barred_until.is_none());
        active
            .map(|(key, seen)| Viewer {
                id: self.id(key),
                address: key.address,
                user_agent: key.user_agent.clone(),
                watching_s: (seen.last - seen.first).as_secs(),
                bytes: seen.bytes,
            })
            .collect()
    }

    /// How many watched within `idle`.
    pub fn count(&self, now: Time, idle: Duration) -> usize {
        let all = self.lock();
        all.values()
            .filter(|seen| now - seen.last <= idle && seen.barred_until.is_none())
            .count()
    }

    /// Keeps a viewer out for a minute. False if there is none of that id.
    pub fn kick(&self, id: &str, now: Time) -> bool {
        let mut all = self.lock();
        let found = all.iter_mut().find(|(key, _)| self.id(key) == id);
        let Some((_, seen)) = found else { return false };
        seen.barred_until = Some(now + BARRED);
        self.any_barred.store(true, Ordering::Relaxed);
        true
    }

    fn id(&self, key: &ViewerKey) -> String {
        format!("{:016x}", self.ids.hash_one(key))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ViewerKey, Seen>> {
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> ViewerKey {
        ViewerKey {
            address: [127, 0, 0, last].into(),
            user_agent: "VLC".into(),
            session: None,
        }
    }

    #[test]
    fn counts_who_watches_and_forgets_who_left() {
        let viewers = Viewers::default();
        let idle = Duration::from_secs(15);
        let at = |s: u64| Time::from_ms(s * 1000);
        viewers.seen(&key(1), at(0), 10);
        viewers.seen(&key(2), at(0), 10);
        viewers.seen(&key(1), at(10), 5);
        assert_eq!(viewers.count(at(10), idle), 2);
        assert_eq!(viewers.count(at(20), idle), 1);
        let list = viewers.list(at(20), idle);
        assert_eq!((list[0].bytes, list[0].watching_s), (15, 10));
        viewers.forget(at(20), idle);
        assert_eq!(viewers.count(at(0), idle), 1);
    }

    #[test]
    fn a_kicked_viewer_stays_out_for_a_minute() {
        let viewers = Viewers::default();
        let idle = Duration::from_secs(15);
        viewers.seen(&key(1), Time::ZERO, 0);
        let id = viewers.list(Time::ZERO, idle)[0].id.clone();
        assert!(viewers.kick(&id, Time::ZERO) && !viewers.kick("nobody", Time::ZERO));
        viewers.seen(&key(1), Time::from_ms(1), 0);
        assert!(!viewers.admits(&key(1), Time::from_ms(59_000)));
        assert!(viewers.admits(&key(1), Time::from_ms(61_000)));
    }
}
