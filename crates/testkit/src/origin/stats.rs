//! What an origin was asked, so that a test can judge who asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Paths, segments and gaps that are counted one by one; further ones only in the sums.
const COUNTED_MAX: usize = 100_000;

/// Counters since the start, or since [`super::Origin::reset_stats`].
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Requests of all kinds.
    pub requests: u64,
    /// Of which for playlists of both kinds.
    pub playlists: u64,
    /// Of which for segments, `HEAD` apart.
    pub segments: u64,
    /// Of which for keys.
    pub keys: u64,
    /// Requests by path, without query.
    pub by_path: BTreeMap<String, u64>,
    /// `GET`s by segment index (see [`super::Origin::expected_segment`]); those of all variants
    /// together, ranges of [`super::Shape::ByteRange`] not at all.
    pub by_segment: BTreeMap<u64, u64>,
    /// Answers by status code; requests that got none are under 0.
    pub by_status: BTreeMap<u16, u64>,
    /// `GET`s for segments that had left the playlist already.
    pub late: u64,
    /// `GET`s for segments that were not yet in the playlist.
    pub early: u64,
    /// Requests whose token was over, or none, or not of our making.
    pub refused: u64,
    /// Times that the resolver's document was asked for.
    pub resolved: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests whose body is not yet sent.
    pub running: u64,
    /// The most requests that ran at the same time.
    pub running_max: u64,
    /// The least time between the beginnings of two requests.
    pub gap_min: Option<Duration>,
    /// All of these times, in their order.
    pub gaps: Vec<Duration>,
    last_request: Option<Instant>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            playlists,
            segments,
            keys,
            late,
            early,
            refused,
            ..
        } = self;
        write!(
            f,
            "{requests} requests ({playlists} playlists, {segments} segments, {keys} keys), "
        )?;
        write!(
            f,
            "{late} late, {early} early, {refused} refused, at most {} at once, ",
            self.running_max
        )?;
        write!(
            f,
            "{} connections ({} open), statuses {:?}",
            self.connections, self.connections_open, self.by_status
        )
    }
}

/// The counters that an origin's tasks share.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Arc<Mutex<Stats>>);

impl Counters {
    pub(super) fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reset(&self) {
        let mut stats = self.lock();
        let Stats {
            connections_open,
            running,
            ..
        } = *stats;
        *stats = Stats {
            connections_open,
            running,
            running_max: running,
            ..Stats::default()
        };
    }

    pub(super) fn connection(&self) -> Gauge {
        let mut stats = self.lock();
        stats.connections += 1;
        stats.connections_open += 1;
        Gauge {
            counters: self.clone(),
            of: |stats| &mut stats.connections_open,
        }
    }

    pub(super) fn request(&self, path: &str) -> Gauge {
        let mut stats = self.lock();
        let now = Instant::now();
        if let Some(last) = stats.last_request.replace(now) {
            let gap = now - last;
            stats.gap_min = Some(stats.gap_min.map_or(gap, |least| least.min(gap)));
            if stats.gaps.len() < COUNTED_MAX {
                stats.gaps.push(gap);
            }
        }
        stats.requests += 1;
        stats.running += 1;
        stats.running_max = stats.running_max.max(stats.running);
        if stats.by_path.len() < COUNTED_MAX || stats.by_path.contains_key(path) {
            *stats.by_path.entry(path.to_owned()).or_default() += 1;
        }
        Gauge {
            counters: self.clone(),
            of: |stats| &mut stats.running,
        }
    }

    pub(super) fn segment(&self, index: u64) {
        let mut stats = self.lock();
        if stats.by_segment.len() < COUNTED_MAX || stats.by_segment.contains_key(&index) {
            *stats.by_segment.entry(index).or_default() += 1;
        }
    }

    pub(super) fn status(&self, code: u16) {
        *self.lock().by_status.entry(code).or_default() += 1;
    }
}

/// Something that is counted as long as it lives.
#[derive(Debug)]
pub(super) struct Gauge {
    counters: Counters,
    of: fn(&mut Stats) -> &mut u64,
}

impl Drop for Gauge {
    fn drop(&mut self) {
        let mut stats = self.counters.lock();
        let count = (self.of)(&mut stats);
        *count = count.saturating_sub(1);
    }
}
