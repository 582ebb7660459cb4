//! A source that is an endless transport stream over plain HTTP instead of playlists: told apart by
//! its first bytes, and cut into segments as it arrives.
//!
//! Whoever reads the stream runs a [`Cutter`] on it and tells the machine of each piece. Knows
//! nothing of connections.

use std::time::Duration;

use base::Time;
use bytes::Bytes;

use crate::container::{Inspection, inspect};
use crate::playlist::rounded_s;
use crate::ts::{self, CannotSegment, PACKET_LEN, SYNC_BYTE, Segmenter, Ticks};

/// What a source's URL answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A playlist, or something that is neither: its parser will say what.
    Playlist,
    /// A transport stream.
    Stream,
}

/// How a stream is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The channel's target duration; `None`: the first segment decides.
    pub target_s: Option<u64>,
    /// Players wait for it: its first segment may be short.
    pub hasty: bool,
}

/// A segment of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// PAT, PMT and what follows.
    pub body: Bytes,
    /// From its first decoding time to the next piece's.
    pub duration: Duration,
    /// Timestamps or the program changed before it.
    pub discontinuity: bool,
    /// It starts with a random-access point.
    pub independent: bool,
    /// When its first unit is decoded.
    pub begin: Ticks,
    /// No piece of this stream is longer when rounded.
    pub target_s: u64,
    /// What it is, or why it cannot be played.
    pub inspection: Result<Inspection, String>,
}

/// Cuts one connection's stream.
#[derive(Debug)]
pub struct Cutter {
    segmenter: Segmenter,
    target_s: Option<u64>,
    /// When a stream in real time would have begun that has brought `media` by now.
    began: Option<Time>,
    media: Duration,
}

/// Bytes after which a start that shows no packets is not a transport stream's.
pub const PROBE: usize = 2048;
/// Packets in a row that prove one.
const PROOF: usize = 5;

/// Where the first segment decides: it ends at the first access point from here on…
const SHORT: Duration = Duration::from_secs(2);
/// …and here without one.
const LONG: Duration = Duration::from_secs(6);
/// What a hasty first segment lasts at least.
const HASTY: Duration = Duration::from_millis(500);
/// Bytes in a segment.
const SEGMENT_MAX: usize = 64 << 20;
/// Target durations by which a stream may be ahead of real time, as one is that begins with what it
/// kept for new clients.
const AHEAD_MAX: u32 = 3;

impl SourceKind {
    /// Looks at a body's first bytes; `None` while they are too few to say. `is_all`: there are no more.
    pub fn of(start: &[u8], is_all: bool) -> Option<Self> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        if text.trim_ascii_start().starts_with(b"#EXTM3U") {
            return Some(Self::Playlist);
        }
        // A client may be let in anywhere in a packet.
        let sync = |at: &usize| {
            (0..PROOF).all(|packet| start.get(at + packet * PACKET_LEN) == Some(&SYNC_BYTE))
        };
        if (0..PACKET_LEN).any(|at| sync(&at)) {
            return Some(Self::Stream);
        }
        (is_all || start.len() >= PROBE).then_some(Self::Playlist)
    }
}

impl Cutter {
    /// For a connection that begins.
    pub fn new(aim: Aim) -> Self {
        let known = aim.target_s.map(Duration::from_secs);
        let mut segmenter =
            Segmenter::new(known.unwrap_or(SHORT), known.unwrap_or(LONG), SEGMENT_MAX);
        if aim.hasty {
            segmenter = segmenter.hasty(HASTY);
        }
        Self {
            segmenter,
            target_s: aim.target_s,
            began: None,
            media: Duration::ZERO,
        }
    }

    /// Takes the next bytes and gives the pieces that end in them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, CannotSegment> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        // Until the first segment decides, no second one may end in the same bytes.
        while self.target_s.is_none() && !rest.is_empty() {
            let (few, others) = rest.split_at(rest.len().min(PACKET_LEN));
            pieces.extend(self.cut(few)?);
            rest = others;
        }
        pieces.extend(self.cut(rest)?);
        Ok(pieces)
    }

    fn cut(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, CannotSegment> {
        let segments = self.segmenter.push(bytes)?;
        Ok(segments
            .into_iter()
            .map(|segment| self.piece(segment))
            .collect())
    }

    /// The connection ended: what is left.
    pub fn finish(&mut self) -> Option<Piece> {
        let rest = self.segmenter.finish()?;
        Some(self.piece(rest))
    }

    /// How long to leave the rest of the stream where it is, because it comes faster than it plays: a
    /// file, perhaps. Nobody can watch that far ahead, and it would have to be kept.
    pub fn rest(&mut self, now: Time) -> Duration {
        let Some(target_s) = self.target_s else {
            return Duration::ZERO;
        };
        // A clock that is off by a thousandth is no haste.
        let media = self.media * 999 / 1000;
        let elapsed = now - *self.began.get_or_insert(now);
        let ahead = Duration::from_secs(target_s) * AHEAD_MAX;
        if media < elapsed {
            // Time lost earlier is not made up for later.
            (self.began, self.media) = (Some(now), Duration::ZERO);
        }
        media.saturating_sub(elapsed).saturating_sub(ahead)
    }

    fn piece(&mut self, segment: ts::Segment) -> Piece {
        let target_s = self.target_s.unwrap_or_else(|| {
            let target_s = rounded_s(segment.duration.max(SHORT));
            self.segmenter
                .aim(Duration::from_secs(target_s), Duration::from_secs(target_s));
            target_s
        });
        self.target_s = Some(target_s);
        self.media += segment.duration;
        Piece {
            inspection: inspect(&segment.bytes).map_err(|error| error.to_string()),
            body: Bytes::from(segment.bytes),
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            independent: segment.independent,
            begin: segment.begin,
            target_s,
        }
    }
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece")
            .field("bytes", &self.body.len())
            .field("duration", &self.duration)
            .field("discontinuity", &self.discontinuity)
            .field("inspection", &self.inspection)
            .finish_non_exhaustive()
    }
}
