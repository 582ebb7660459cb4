//! What a resolver returns: entries, and the links that they have at the moment.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::expiry;

/// A stream by the only name that outlives its links.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// The resolver's id.
    pub resolver: String,
    /// The entry's id, as the resolver gives it.
    pub entry: String,
}

/// One stream of a resolver's result.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// By which an old and a fresh link are known to be the same stream: nothing else says so.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// The link.
    pub url: Url,
    /// What lies behind it.
    #[serde(default)]
    pub kind: Kind,
    /// Sent with each request.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// For people: `1080p`.
    #[serde(default)]
    pub quality: String,
    /// A language tag.
    #[serde(default)]
    pub language: String,
    /// Whether the resolver itself calls it live.
    #[serde(default)]
    pub live: Option<bool>,
    /// When the resolver says that the link dies, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub expires_ms: Option<i64>,
    /// What a fresh link does to the old one.
    #[serde(default)]
    pub refresh: Refresh,
}

/// What lies behind a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An HLS playlist.
    #[default]
    Hls,
    /// A transport stream.
    Ts,
    /// A file.
    File,
}

/// What a fresh link does to the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// Both work for a while.
    #[default]
    Overlap,
    /// The old one dies at once: it is used as long as it can be.
    Exclusive,
}

/// The newest link of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the resolver returned.
    pub entry: Entry,
    /// Rises with each link that differs from the one before.
    pub generation: u64,
    /// When it came, in milliseconds since the Unix epoch.
    pub obtained_ms: i64,
    /// When it dies, where that is known.
    pub expires_ms: Option<i64>,
}

/// The longest that a resolver may promise.
const TOLD_MAX_MS: i64 = 366 * 24 * 3_600_000;

impl Entry {
    /// Whether a request for it is the same as for `other`, a token in a header included.
    pub(crate) fn asks_as(&self, other: &Self) -> bool {
        self.url == other.url && self.headers == other.headers
    }
}

impl Link {
    /// The link of an entry that came at `now_ms`. The resolver's word goes before the link's own; an
    /// end that has passed already is a misreading of a link that was made just now, and one beyond all
    /// years is none.
    pub fn new(entry: Entry, generation: u64, now_ms: i64) -> Self {
        let told = entry.expires_ms;
        let read = || expiry::read(&entry.url, now_ms).map(|expiry| expiry.at_ms);
        let latest = now_ms + TOLD_MAX_MS;
        let end = told.map(|end| end.min(latest)).or_else(read);
        Self {
            expires_ms: end.filter(|end| *end > now_ms),
            entry,
            generation,
            obtained_ms: now_ms,
        }
    }

    /// Whether its time is over.
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| now_ms >= end)
    }
}

/// Without secrets: the URL is cut, headers are names.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("url", &base::redact_url(&self.url))
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Display for EntryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of resolver {}", self.entry, self.resolver)
    }
}
