//! What the channel machine is told, and what it asks for.

use std::time::Duration;

use base::{ByteRange, ErrorKind};
use bytes::Bytes;
use url::Url;

use super::cutter::{Aim, Piece};
use super::{SourceDef, TrackId};
use crate::container::Inspection;
use crate::timeline::ObjectName;

/// Which fetch an outcome belongs to. What a dead generation says late is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FetchId {
    /// The session that asked.
    pub generation: u64,
    /// Unique within the channel.
    pub serial: u64,
}

/// A fact from outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed: the moment asked for by [`super::Channel::wake_at`] has come.
    Tick,
    /// These tracks are watched now. Tracks that are missing are not fetched any more.
    Demand(Vec<TrackId>),
    /// A fetch ended; or an open stream, which goes on, brought something.
    Fetched(FetchId, Result<Fetched, Failure>),
    /// An administrator wants another source.
    Switch(SwitchTo),
    /// A source has a fresh link: the same stream, as [`SourceDef::identity`] says, under another URL.
    Relinked {
        /// Index of the source.
        source: usize,
        /// The fresh link.
        url: Url,
    },
    /// The channel has other sources now, at least one, or the same in another order.
    Sources(Vec<SourceDef>),
    /// Whether the account has room for the session that asked by [`Effect::Acquire`].
    Slot {
        /// Who asked.
        generation: u64,
        /// It may open its stream.
        granted: bool,
    },
}

/// The source of a manual switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchTo {
    /// Its place in the list; one past the end adds it.
    pub index: usize,
    /// What it is.
    pub source: SourceDef,
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// A playlist.
    Playlist {
        /// Decoded from any content encoding.
        body: Bytes,
        /// After redirects.
        final_url: Url,
    },
    /// The playlist is as it was.
    NotModified,
    /// A segment that can be played, as the source sent it.
    Segment {
        /// Encrypted if the source encrypts.
        body: Bytes,
        /// What the clear bytes are.
        inspection: Inspection,
    },
    /// A segment whose protection we cannot or need not remove.
    Opaque(Bytes),
    /// A key or an initialisation section.
    Object(Bytes),
    /// A transport stream instead of a playlist: its pieces follow, under the same id, until a
    /// [`Failure`] says why it ended.
    Stream,
    /// A segment of the stream.
    Piece(Piece),
}

/// Why a fetch brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The class of the error.
    pub kind: ErrorKind,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What and where, without secrets.
    pub detail: String,
    /// The source's own wish.
    pub retry_after: Option<Duration>,
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Fetch, and answer with [`Event::Fetched`].
    Fetch(Order),
    /// Abandon every fetch of this generation, and give its account's slot back once they are closed.
    Abandon {
        /// The dead generation.
        generation: u64,
    },
    /// Take a slot of the source's account, and answer with [`Event::Slot`].
    Acquire {
        /// Who wants it.
        generation: u64,
        /// Index of the source.
        source: usize,
    },
    /// The source's provider asked to be left alone (429, 509): so does its whole account.
    Rest {
        /// Index of the source.
        source: usize,
        /// For how long, if it said so.
        wish: Option<Duration>,
    },
    /// A segment got its number: serve its bytes.
    Publish {
        /// The output track.
        track: TrackId,
        /// Media sequence number.
        msn: u64,
        /// As players get it.
        body: Bytes,
    },
    /// The list changed without new bytes: it has a gap more, or has ended.
    Changed {
        /// The output track.
        track: TrackId,
    },
    /// A key or an initialisation section that published segments need.
    Serve {
        /// The output track.
        track: TrackId,
        /// Below the track.
        name: ObjectName,
        /// As players get it.
        body: Bytes,
    },
    /// Something worth an event and a log line.
    Notice(Notice),
}

/// One fetch.
#[derive(Clone, Debug)]
pub struct Order {
    /// For the answer.
    pub id: FetchId,
    /// Index of the source whose headers and manners apply.
    pub source: usize,
    /// What.
    pub url: Url,
    /// What for.
    pub what: What,
    /// Until the whole body has arrived, or a stream has begun.
    pub timeout: Duration,
}

/// What an [`Order`] is for.
#[derive(Clone, Debug)]
pub enum What {
    /// The source's own URL: a playlist, or a transport stream, which is cut as `Aim` says.
    Source(Aim),
    /// A playlist.
    Playlist {
        /// The last one that this URL brought is known: it need not come again unchanged.
        conditional: bool,
    },
    /// A media segment.
    Segment {
        /// A part of the resource.
        range: Option<ByteRange>,
        /// How its bytes are protected.
        protection: Protection,
    },
    /// A key or an initialisation section.
    Object {
        /// A part of the resource.
        range: Option<ByteRange>,
    },
}

/// How a segment's bytes are protected, for whoever inspects them.
#[derive(Clone, PartialEq, Eq)]
pub enum Protection {
    /// The container can be read as it is.
    Clear,
    /// AES-128-CBC over the whole segment.
    Aes128 {
        /// 16 bytes.
        key: [u8; 16],
        /// Explicit, or made from the source's sequence number.
        iv: [u8; 16],
    },
    /// A method that hides the container from us.
    Opaque,
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear => "Clear",
            Self::Aes128 { .. } => "Aes128",
            Self::Opaque => "Opaque",
        })
    }
}

/// A change of state that people want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another state.
    State(super::State),
    /// Players now get this source.
    OnAir {
        /// Index of the source.
        source: usize,
        /// Its session.
        generation: u64,
    },
    /// A source does better or worse.
    Health {
        /// Index of the source.
        source: usize,
        /// How it does now.
        health: super::Health,
        /// Why it is not healthy.
        why: Option<String>,
    },
    /// Something went wrong, and what is done about it.
    Trouble(Trouble),
}

/// An error with its place, as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A stable word: `playlist_unchanged`, `segment_unusable`…
    pub code: &'static str,
    /// Index of the source.
    pub source: usize,
    /// What happened, without secrets.
    pub detail: String,
}
