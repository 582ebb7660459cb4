//! Immutable snapshots: everything a viewer's request needs, shared by all of them.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hls::channel::TrackId;
use hls::container::Container;
use hls::timeline::Timeline;
use sha2::{Digest, Sha256};

use crate::sealed::Sealed;
use crate::status::Status;

/// A channel at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// For the API.
    pub status: Status,
    /// The multivariant playlist, if the channel has one.
    pub multivariant: Option<Arc<Rendered>>,
    /// Every track that can be asked for, also those that nobody watched yet.
    pub offered: Vec<TrackId>,
    /// Tracks that are or were watched, by name.
    pub tracks: HashMap<TrackId, Arc<TrackView>>,
}

/// A track at one moment.
pub struct TrackView {
    timeline: Timeline,
    /// It lists what a player should find at first.
    pub(crate) primed: bool,
    /// Rising numbers.
    segments: Vec<Body>,
    objects: HashMap<Arc<str>, Bytes>,
    rendered: [OnceLock<Arc<Rendered>>; 4],
}

/// A segment's bytes and number.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) msn: u64,
    pub(crate) container: Container,
    pub(crate) bytes: Bytes,
    /// Where the bytes lie, for whoever can send a file.
    pub(crate) sealed: Option<Sealed>,
}

impl Body {
    pub(crate) fn new(msn: u64, container: Container, bytes: Bytes) -> Self {
        let sealed = Sealed::copy(&bytes).unwrap_or_else(|error| {
            tracing::debug!(%error, "a segment stays on the heap");
            None
        });
        Self {
            msn,
            container,
            bytes: sealed.as_ref().map_or(bytes, Sealed::bytes),
            sealed,
        }
    }
}

/// Where a playlist is served, and so how its URIs begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `/live/{channel}/index.m3u8` of a channel with one track.
    Channel,
    /// `/live/{channel}/{track}/index.m3u8`.
    Track,
    /// `/stream/{channel}`.
    Compatible,
    /// `/proxy` of a resolver's entry, by its reference in place of a channel's id.
    Relayed,
}

/// A playlist ready to send, encoded once for all viewers.
pub struct Rendered {
    identity: Bytes,
    gzip: OnceLock<Bytes>,
    digest: String,
    /// Until it may have changed: half the target duration.
    pub max_age: Duration,
}

/// One encoding of a playlist.
#[derive(Clone, Debug)]
pub struct Form {
    /// The body.
    pub body: Bytes,
    /// A strong ETag, another one for each encoding, with its quotes.
    pub etag: String,
}

impl View {
    /// The track of that name.
    pub fn track(&self, name: &str) -> Option<&Arc<TrackView>> {
        self.tracks.get(name)
    }
}

impl TrackView {
    pub(crate) fn new(
        timeline: Timeline,
        primed: bool,
        segments: Vec<Body>,
        objects: HashMap<Arc<str>, Bytes>,
    ) -> Self {
        Self {
            timeline,
            primed,
            segments,
            objects,
            rendered: Default::default(),
        }
    }

    /// Whether there is enough to play.
    pub fn is_ready(&self) -> bool {
        self.primed && self.timeline.listed().len() > 0
    }

    /// What is listed and kept.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The playlist for the place it is served at; rendered by whoever asks first.
    pub fn playlist(&self, channel: &str, track: &str, shape: Shape) -> Arc<Rendered> {
        let (slot, prefix) = match shape {
            Shape::Channel => (0, format!("{track}/")),
            Shape::Track => (1, String::new()),
            Shape::Compatible => (2, format!("/stream/{channel}/segments/")),
            Shape::Relayed => (3, format!("relay?url={channel}.{track}.")),
        };
        let render = || {
            let max_age = self.timeline.target_duration() / 2;
            Arc::new(Rendered::new(self.timeline.render(&prefix), max_age))
        };
        self.rendered[slot].get_or_init(render).clone()
    }

    pub(crate) fn segment(&self, msn: u64) -> Option<&Body> {
        let index = self
            .segments
            .binary_search_by_key(&msn, |body| body.msn)
            .ok()?;
        self.segments.get(index)
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Bytes> {
        self.objects.get(name)
    }
}

impl fmt::Debug for TrackView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackView")
            .field("next_msn", &self.timeline.next_msn())
            .finish_non_exhaustive()
    }
}

impl Rendered {
    pub(crate) fn new(text: String, max_age: Duration) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let digest = digest
            .iter()
            .take(10)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            identity: text.into(),
            gzip: OnceLock::new(),
            digest,
            max_age,
        }
    }

    /// The bytes as they are.
    pub fn identity(&self) -> Form {
        Form {
            body: self.identity.clone(),
            etag: format!("\"{}\"", self.digest),
        }
    }

    /// The bytes compressed; by whoever asks first.
    pub fn gzip(&self) -> Form {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder
                .write_all(&self.identity)
                .expect("writing to a vector does not fail");
            Bytes::from(encoder.finish().expect("writing to a vector does not fail"))
        };
        Form {
            body: self.gzip.get_or_init(compress).clone(),
            etag: format!("\"{}-gz\"", self.digest),
        }
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("bytes", &self.identity.len())
            .finish_non_exhaustive()
    }
}
