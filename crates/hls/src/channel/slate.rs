//! What players see while no source brings anything: a card, looped in real time.

use std::time::Duration;

use base::Time;
use bytes::Bytes;

use super::{Channel, TrackId};
use crate::ts::{self, Restamp, Ticks};

/// A loop of transport stream, cut into pieces that each begin with a key frame.
#[derive(Clone)]
pub struct Slate {
    pieces: Vec<(Bytes, Duration)>,
}

/// The slate on air.
#[derive(Debug)]
pub(super) struct Showing {
    pub(super) generation: u64,
    /// When the next piece is due.
    pub(super) due: Time,
    /// Pieces shown.
    shown: usize,
}

/// Why a clip is no slate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSlate {
    /// Not what a slate must be.
    #[error("a slate must be an MPEG transport stream: {0}")]
    NotTs(#[from] ts::CannotCut),
    /// Nothing in it.
    #[error("the slate is empty")]
    Empty,
}

/// A card that lasts longer gives nothing more, and stays in memory.
const LENGTH_MAX: Duration = Duration::from_secs(600);

impl Slate {
    /// Cuts a clip of transport stream into pieces of about `piece`, which must fit every target
    /// duration: one second is safe.
    pub fn new(clip: &[u8], piece: Duration) -> Result<Self, BadSlate> {
        let length = ts::duration(clip).ok_or(BadSlate::Empty)?.min(LENGTH_MAX);
        let pieces = ts::cut(clip, length, piece)?;
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|p| (Bytes::from(p.bytes), p.duration))
            .collect();
        if pieces.is_empty() {
            Err(BadSlate::Empty)
        } else {
            Ok(Self { pieces })
        }
    }

    /// The whole loop.
    fn length(&self) -> Duration {
        self.pieces.iter().map(|(_, duration)| *duration).sum()
    }

    /// The n-th piece since the slate began, its clock running on from round to round.
    fn piece(&self, number: usize) -> (Bytes, Duration) {
        let (round, index) = (number / self.pieces.len(), number % self.pieces.len());
        let (bytes, duration) = &self.pieces[index];
        let mut body = bytes.to_vec();
        let mut restamp = Restamp::new();
        restamp.splice(Ticks::from(
            self.length()
                .saturating_mul(u32::try_from(round).unwrap_or(u32::MAX)),
        ));
        restamp.apply(&mut body);
        (Bytes::from(body), *duration)
    }
}

impl std::fmt::Debug for Slate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slate")
            .field("pieces", &self.pieces.len())
            .finish()
    }
}

impl Showing {
    pub(super) fn new(now: Time, generation: u64) -> Self {
        Self {
            generation,
            due: now,
            shown: 0,
        }
    }
}

impl Channel {
    /// Publishes as much of the slate as is due.
    pub(super) fn publish_slate(&mut self, now: Time) {
        let (Some(slate), Some(mut showing)) = (self.settings.slate.clone(), self.slate.take())
        else {
            return;
        };
        while showing.due <= now {
            let (body, duration) = slate.piece(showing.shown);
            for id in self.slate_tracks() {
                if let Some(track) = self.tracks.get_mut(&id) {
                    track.publish_slate(
                        now,
                        showing.generation,
                        body.clone(),
                        duration,
                        &mut self.out,
                    );
                }
            }
            showing.shown += 1;
            showing.due = showing.due + duration;
        }
        self.slate = Some(showing);
    }

    /// The watched tracks that can show it: those with pictures and sound together.
    fn slate_tracks(&self) -> Vec<TrackId> {
        let Some(ladder) = &self.ladder else {
            return Vec::new();
        };
        let watched = self
            .tracks
            .keys()
            .filter(|id| self.demand.contains(id) || **id == TrackId::main());
        watched.filter(|id| ladder.is_muxed(id)).cloned().collect()
    }
}
