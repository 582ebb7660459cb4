//! Where each output track's numbers stand, so that they go on after a restart.
//!
//! [`Positions::save`] only puts a position into a bounded table in memory, the newest for each track;
//! [`crate::writer`] takes them to the database.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ChannelId;
use sqlx::Row;
use sqlx::any::AnyRow;
use tokio::sync::Notify;

use crate::{Error, Store};

/// Where one output track of a channel stands. The numbers are full-range: any `u64` comes back as it
/// was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The channel.
    pub channel: ChannelId,
    /// The output track's name, at most 512 bytes.
    pub track: String,
    /// The media sequence number of the next segment.
    pub next_msn: u64,
    /// The media sequence number of the first segment that is listed.
    pub head_msn: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE` at `head_msn`.
    pub dsn: u64,
    /// The media sequence number of the newest segment with a discontinuity before it.
    pub discontinuity_msn: u64,
    /// A hash that tells sources apart; no URL. Empty: unknown.
    pub source: String,
    /// The source's media sequence number of the newest segment.
    pub source_msn: u64,
    /// The last path component of the newest segment's URL. Empty: unknown.
    pub source_name: String,
    /// The track's target duration, in seconds.
    pub target_duration_s: u64,
    /// When this was so, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

/// How the writing of positions fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Positions written since the store was opened.
    pub saved: u64,
    /// Attempts to write that failed since the store was opened. What they held is tried again.
    pub failures: u64,
    /// Positions that could not be taken: too many tracks wait, the track's name cannot be stored, or
    /// the store is closed.
    pub dropped: u64,
    /// Positions that wait to be written.
    pub waiting: usize,
    /// Why the last attempt failed; `None` if it did not.
    pub error: Option<String>,
}

/// Where positions are put. Clones share it.
#[derive(Clone)]
pub struct Positions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    wake: Notify,
    /// Held by whoever moves positions between memory and database, so that none is seen in neither
    /// and none is written after its channel was deleted.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    waiting: Batch,
    health: Health,
    closed: bool,
}

/// The newest position of each track.
pub(crate) type Batch = HashMap<(ChannelId, String), Position>;

/// Tracks that may wait. Beyond it a track that is not yet waiting is dropped until its next segment.
const WAITING_MAX: usize = 16_384;
/// Positions in one transaction: few enough for a server that is 10 ms away.
const BATCH_MAX: usize = 256;
/// Of a track's name, and of what comes from a source.
const TEXT_BYTES_MAX: usize = 512;

impl Positions {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Puts `position` in place of the one that waits for the same track. Neither blocks nor fails; it
    /// is written within 100 ms, or as soon as the database can be written again.
    ///
    /// What a source gave and no database could keep (too long, or with a NUL in it) becomes empty,
    /// that is unknown: no upstream can keep a channel's numbers from being kept.
    pub fn save(&self, mut position: Position) {
        for text in [&mut position.source, &mut position.source_name] {
            if !is_storable(text) {
                text.clear();
            }
        }
        let key = (position.channel.clone(), position.track.clone());
        let mut state = self.state();
        let room = state.waiting.len() < WAITING_MAX || state.waiting.contains_key(&key);
        if state.closed || !room || !is_storable(&position.track) {
            state.health.dropped += 1;
            return;
        }
        state.waiting.insert(key, position);
        drop(state);
        self.wake();
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state();
        Health {
            waiting: state.waiting.len(),
            ..state.health.clone()
        }
    }

    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Waits until there is something to write.
    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    /// Takes what waits, up to [`BATCH_MAX`]. The caller has the turn.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.state();
        let waiting = state.waiting.extract_if(|_, _| true);
        waiting.take(BATCH_MAX).collect()
    }

    /// Notes that a batch of `count` was written. `true` if the attempt before failed.
    pub(crate) fn succeeded(&self, count: usize) -> bool {
        let mut state = self.state();
        state.health.saved += count as u64;
        state.health.error.take().is_some()
    }

    /// Puts a batch back that could not be written, but for what is newer by now. `true` if the
    /// attempt before did not fail.
    pub(crate) fn failed(&self, batch: Batch, error: String) -> bool {
        let mut state = self.state();
        for (key, position) in batch {
            state.waiting.entry(key).or_insert(position);
        }
        state.health.failures += 1;
        state.health.error.replace(error).is_none()
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
    }

    fn waiting_for(&self, channel: &ChannelId) -> Vec<Position> {
        let state = self.state();
        let waiting = state.waiting.values();
        waiting.filter(|p| p.channel == *channel).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Positions").field(&self.health()).finish()
    }
}

impl Store {
    /// Where positions are put.
    pub fn positions(&self) -> Positions {
        self.0.positions.clone()
    }

    /// The newest position of each track of a channel, by track, also what is not yet written.
    ///
    /// # Errors
    /// A database that fails.
    pub async fn load_positions(&self, channel: &ChannelId) -> Result<Vec<Position>, Error> {
        let db = &self.0.db;
        let _turn = self.0.positions.turn().await;
        let mut positions: Vec<Position> = db
            .run("reading positions", async {
                let rows = sqlx::query(
                    "SELECT track, next_msn, head_msn, dsn, discontinuity_msn, source, source_msn, \
                     source_name, target_duration_s, updated_ms FROM positions WHERE channel = $1",
                )
                .bind(channel.as_str())
                .fetch_all(&db.pool)
                .await?;
                rows.iter().map(|row| position(channel, row)).collect()
            })
            .await?;
        for newer in self.0.positions.waiting_for(channel) {
            positions.retain(|position| position.track != newer.track);
            positions.push(newer);
        }
        positions.sort_by(|a, b| a.track.cmp(&b.track));
        Ok(positions)
    }
}

fn position(channel: &ChannelId, row: &AnyRow) -> Result<Position, sqlx::Error> {
    let number = |column| row.try_get(column).map(i64::cast_unsigned);
    Ok(Position {
        channel: channel.clone(),
        track: row.try_get("track")?,
        next_msn: number("next_msn")?,
        head_msn: number("head_msn")?,
        dsn: number("dsn")?,
        discontinuity_msn: number("discontinuity_msn")?,
        source: row.try_get("source")?,
        source_msn: number("source_msn")?,
        source_name: row.try_get("source_name")?,
        target_duration_s: number("target_duration_s")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

/// Postgres keeps no NUL in a text. One such row would fail its whole batch, for ever.
fn is_storable(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.contains('\0')
}
