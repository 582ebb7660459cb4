//! Where each track's numbers stand: kept in the store behind what players get, and found there
//! again after a restart.

use std::collections::HashMap;

use hls::channel::{Position, TrackId};

use crate::channel::Channel;

/// Numbers older than this say nothing of the target duration any more.
const FRESH_MS: i64 = 3_600_000;

/// Notes where a track stands. Never waits.
pub(crate) fn save(channel: &Channel, track: &TrackId, position: &Position) {
    let shared = &channel.shared;
    shared.positions.save(store::Position {
        channel: channel.id().clone(),
        track: track.as_str().to_owned(),
        next_msn: position.next_msn,
        head_msn: position.head_msn,
        dsn: position.dsn,
        discontinuity_msn: position.discontinuity_msn,
        source: position.source.clone(),
        source_msn: position.source_msn,
        source_name: position.source_name.clone(),
        target_duration_s: position.target_duration_s,
        updated_ms: shared.clock.unix_ms(),
    });
}

/// Where the tracks stood when the channel last ran.
pub(crate) async fn load(channel: &Channel) -> HashMap<TrackId, Position> {
    let shared = &channel.shared;
    let stored = match shared.store.load_positions(channel.id()).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "numbers of the last run are lost");
            return HashMap::new();
        }
    };
    let now_ms = shared.clock.unix_ms();
    let fresh = |position: &store::Position| now_ms - position.updated_ms < FRESH_MS;
    stored
        .into_iter()
        .map(|stored| {
            let target_duration_s = if fresh(&stored) {
                stored.target_duration_s
            } else {
                0
            };
            let position = Position {
                next_msn: stored.next_msn,
                head_msn: stored.head_msn,
                dsn: stored.dsn,
                discontinuity_msn: stored.discontinuity_msn,
                source: stored.source,
                source_msn: stored.source_msn,
                source_name: stored.source_name,
                target_duration_s,
            };
            (TrackId::from(stored.track), position)
        })
        .collect()
}
