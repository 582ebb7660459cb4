//! What to fetch, and how long and how much of it to wait for.

use std::fmt;
use std::time::Duration;

use base::{ByteRange, redact_url};
use url::Url;

use crate::guard::Scope;
use crate::headers::Headers;
use crate::manners::Manners;

/// What players send, and what most providers expect to see.
pub const USER_AGENT: &str = "VLC/3.0.20 LibVLC/3.0.20";

/// A GET request, or a HEAD.
#[derive(Clone)]
pub struct Request {
    /// http or https.
    pub url: Url,
    /// How far inward this request and its redirects may reach.
    pub scope: Scope,
    /// The channel's place in the queue of each host.
    pub manners: Manners,
    /// Headers meant for the origin of `url`; redirects to other origins lose most of them
    /// ([`Headers::between`]). A `User-Agent` among them wins over `user_agent`.
    pub headers: Headers,
    /// `User-Agent`.
    pub user_agent: String,
    /// The part of the resource that is wanted, exactly; one that ends at [`ByteRange::OPEN`] needs
    /// `range_may_exceed`.
    pub range: Option<ByteRange>,
    /// HEAD in place of GET.
    pub head: bool,
    /// Take any status for an answer, so that the caller judges; else all but 2xx are errors.
    pub any_status: bool,
    /// A resource that ends inside `range` is taken as far as it goes: for a look at what something is.
    /// Otherwise its end is an error.
    pub range_may_exceed: bool,
    /// Ask for gzip (playlists), else for identity (media).
    pub gzip: bool,
    /// Bytes of body that are accepted, unpacked and packed. `u64::MAX` for an endless stream.
    pub body_max: u64,
    /// Limits on waiting.
    pub timeouts: Timeouts,
    /// Limit on slowness.
    pub pace: Pace,
}

/// How long each phase of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name, TCP and TLS of a new connection.
    pub connect: Duration,
    /// From the start of a hop to its response's headers, `connect` included.
    pub first_byte: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// All of it: turns, redirects, body. `None` for an endless stream.
    pub total: Option<Duration>,
}

/// The least throughput of a body. Only time spent waiting for the upstream counts, not time in
/// which the reader of a stream was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes each second, averaged over `window`; 0 for no limit.
    pub bytes_per_s: u64,
    /// How long it may be missed.
    pub window: Duration,
}

/// A playlist is refused beyond this (the contract's limit).
const PLAYLIST_MAX: u64 = 4 << 20;

impl Request {
    /// A request for a playlist: gzip, 4 MiB, the default limits.
    pub fn new(url: Url, scope: Scope, manners: Manners) -> Self {
        Self {
            url,
            scope,
            manners,
            headers: Headers::default(),
            user_agent: USER_AGENT.to_owned(),
            range: None,
            head: false,
            any_status: false,
            range_may_exceed: false,
            gzip: true,
            body_max: PLAYLIST_MAX,
            timeouts: Timeouts::default(),
            pace: Pace::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            first_byte: Duration::from_secs(8),
            idle: Duration::from_secs(5),
            total: Some(Duration::from_secs(30)),
        }
    }
}

impl Default for Pace {
    /// A quarter of the bit rate of the poorest radio stream.
    fn default() -> Self {
        Self {
            bytes_per_s: 512,
            window: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("url", &redact_url(&self.url))
            .field("scope", &self.scope)
            .field("headers", &self.headers)
            .field("range", &self.range)
            .field("gzip", &self.gzip)
            .field("body_max", &self.body_max)
            .field("timeouts", &self.timeouts)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
