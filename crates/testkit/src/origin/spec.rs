//! What an origin serves.

use std::time::Duration;

use super::signing::Signing;
use crate::{Clip, GOP};

/// An origin's stream and the shape that it is served in.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What plays.
    pub clip: Clip,
    /// The kind of playlist.
    pub shape: Shape,
    /// Oddities of the text and of the way to it.
    pub quirks: Vec<Quirk>,
    /// `EXTINF` of every segment. It holds this much media, rounded up to whole groups of pictures of 2 s.
    /// A multiple of 2 s is honest; anything else (1 s, for tests that look at bytes and not at pictures)
    /// is claimed of the same media.
    pub segment: Duration,
    /// Segments in the playlist, which is full from the start.
    pub window: u64,
    /// Segments that stay fetchable after they left the playlist.
    pub retain: u64,
    /// The first media sequence number.
    pub first_number: u64,
    /// How many times faster than real time segments appear. Playlists stay those of the honest stream:
    /// durations and dates are of media time, which then runs ahead of the wall clock.
    pub speed: f64,
    /// Every URL must carry a token that is not over.
    pub signing: Option<Signing>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            clip: Clip::A,
            shape: Shape::Ts,
            quirks: Vec::new(),
            segment: GOP,
            window: 6,
            retain: 8,
            first_number: 0,
            speed: 1.0,
            signing: None,
        }
    }
}

/// The kind of playlist that an origin serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A media playlist of transport-stream segments.
    Ts,
    /// The same, encrypted with AES-128.
    Aes128(Iv),
    /// Six segments to a file, told apart by `EXT-X-BYTERANGE`; only the first offset is written.
    ByteRange,
    /// A multivariant playlist of this many variants. Variant `n` carries `n` null packets at the end of
    /// each segment, so that its bytes are its own.
    Multivariant(u8),
}

/// Where the initialization vector of an encrypted segment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iv {
    /// The media sequence number.
    Implicit,
    /// The `IV` attribute, different for each segment.
    Explicit,
}

/// Oddities that a player has to live with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quirk {
    /// Playlists are sent gzipped, asked for or not.
    Gzip,
    /// Lines end in CRLF.
    Crlf,
    /// A byte order mark before `#EXTM3U`.
    Bom,
    /// Titles in Latin-1.
    Latin1,
    /// Every fifth segment begins with a discontinuity.
    Discontinuity,
    /// URIs use a variable of `EXT-X-DEFINE`.
    Define,
    /// The URL redirects to an edge, and [`super::Origin::move_edge`] moves it.
    Redirect,
    /// URIs carry a token that changes at each reload and is refused when three windows old.
    Token,
}

/// Every how many segments [`Quirk::Discontinuity`] puts one.
pub(super) const DISCONTINUITY_EVERY: u64 = 5;

/// Slower is standing still.
const SPEED_MIN: f64 = 0.001;
/// Faster is no stream.
const CADENCE_MIN: Duration = Duration::from_millis(1);

impl Spec {
    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Groups of pictures in a segment.
    pub(super) fn gops(&self) -> u64 {
        (self.segment.as_secs_f64() / GOP.as_secs_f64())
            .ceil()
            .max(1.0) as u64
    }

    pub(super) const fn variants(&self) -> u8 {
        match self.shape {
            Shape::Multivariant(variants) => variants,
            _ => 1,
        }
    }

    pub(super) fn target_s(&self) -> u64 {
        (self.segment.as_secs_f64().round() as u64).max(1)
    }

    /// The wall-clock time between two segments.
    pub(super) fn cadence(&self) -> Duration {
        let cadence = self.segment.div_f64(self.speed.max(SPEED_MIN));
        cadence.max(CADENCE_MIN)
    }
}
