//! Which tracks of a channel are asked for: those alone are fetched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::Time;
use hls::channel::TrackId;
use tokio::sync::Notify;

/// When each track was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    tracks: RwLock<HashMap<Arc<str>, AtomicU64>>,
    /// A track that was not watched is wanted.
    pub(crate) wanted: Notify,
}

/// A track that nobody asked for during this time is not fetched.
pub(crate) const TRACK_IDLE: Duration = Duration::from_secs(20);
/// Names that requests may leave in [`Demand`]; a channel has a few tracks.
const DEMAND_MAX: usize = 256;

impl Demand {
    /// Notes that a track is watched now; wakes the driver if it was not.
    pub(crate) fn touch(&self, track: &str, now: Time) {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = tracks.get(track) {
            let before = last.swap(now.as_ms(), Ordering::Relaxed);
            drop(tracks);
            if now - Time::from_ms(before) > TRACK_IDLE {
                self.wanted.notify_one();
            }
            return;
        }
        drop(tracks);
        let mut tracks = self.tracks.write().unwrap_or_else(PoisonError::into_inner);
        if tracks.len() < DEMAND_MAX {
            tracks.insert(track.into(), AtomicU64::new(now.as_ms()));
        }
        drop(tracks);
        self.wanted.notify_one();
    }

    /// The tracks asked for within `idle`.
    pub(crate) fn watched(&self, now: Time, idle: Duration) -> Vec<TrackId> {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let recent = tracks.iter().filter(|(name, last)| {
            !name.is_empty() && now - Time::from_ms(last.load(Ordering::Relaxed)) <= idle
        });
        let mut watched: Vec<TrackId> = recent
            .map(|(name, _)| TrackId::from(name.to_string()))
            .collect();
        watched.sort();
        watched
    }

    /// When anything was last asked for.
    pub(crate) fn last(&self) -> Time {
        let tracks = self.tracks.read().unwrap_or_else(PoisonError::into_inner);
        let last = tracks
            .values()
            .map(|last| last.load(Ordering::Relaxed))
            .max();
        Time::from_ms(last.unwrap_or(0))
    }
}
