//! What RFC 8216 asks of playlists, as named rules. The oracle for everything that Perennial serves, and
//! therefore independent of `hls`.
//!
//! A [`PlaylistChecker`] is fed every playlist that one URL gave, in order, because most of the
//! rules are about what may change from one to the next. What only a player can see (removed
//! segments must stay available) is checked by [`crate::player`].

mod change;
mod multivariant;
mod playlist;
mod rule;

use std::time::Duration;

pub use multivariant::check_multivariant;
pub(crate) use playlist::{Key, Playlist, Segment};
pub use rule::{Rule, Violation};

use crate::reader::{Line, decode, lines};

/// Violations that are kept; further ones are counted only.
const VIOLATIONS_MAX: usize = 200;

/// What is asked beyond the RFC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promises {
    /// See [`Rule::ImplicitIv`].
    pub explicit_iv: bool,
    /// See [`Rule::MapNotRepeated`].
    pub map_repeated: bool,
    /// See [`Rule::AbsoluteUri`].
    pub relative_uris: bool,
    /// See [`Rule::LowLatency`].
    pub no_low_latency: bool,
}

impl Promises {
    /// The RFC and nothing else: for origins.
    pub const NONE: Self = Self {
        explicit_iv: false,
        map_repeated: false,
        relative_uris: false,
        no_low_latency: false,
    };

    /// What Perennial promises of all that it serves.
    pub const PERENNIAL: Self = Self {
        explicit_iv: true,
        map_repeated: true,
        relative_uris: true,
        no_low_latency: true,
    };
}

/// Judges the playlists of one URL.
#[derive(Clone, Debug, Default)]
pub struct PlaylistChecker {
    promises: Promises,
    previous: Option<Previous>,
    violations: Vec<Violation>,
    violations_total: u64,
    longest_unchanged: Duration,
}

#[derive(Clone, Debug)]
struct Previous {
    body: Vec<u8>,
    playlist: Playlist,
    changed_at: Duration,
}

impl PlaylistChecker {
    /// A checker that has seen nothing yet.
    pub fn new(promises: Promises) -> Self {
        Self {
            promises,
            ..Self::default()
        }
    }

    /// Judges the playlist `body`, fetched `at` after any fixed beginning, by itself and after the one before.
    pub fn check(&mut self, at: Duration, body: &[u8]) {
        self.read(at, body);
    }

    /// The broken rules so far, at most 200.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many there are in truth.
    pub const fn violations_total(&self) -> u64 {
        self.violations_total
    }

    /// The longest time between two playlists that were alike. §6.2.2 wants news within 1.5 target
    /// durations; how long a failover may take is for the caller to say.
    pub const fn longest_unchanged(&self) -> Duration {
        self.longest_unchanged
    }

    pub(crate) fn read(&mut self, at: Duration, body: &[u8]) -> Playlist {
        let (playlist, mut found) = Playlist::read(body, self.promises);
        let mut changed_at = at;
        if let Some(previous) = self.previous.take() {
            if previous.body == body {
                // What stays in the list is one fault, not one for each reload.
                found.clear();
                changed_at = previous.changed_at;
                if !playlist.ended {
                    let unchanged = at.saturating_sub(changed_at);
                    self.longest_unchanged = self.longest_unchanged.max(unchanged);
                }
            } else {
                found.extend(change::changes(&previous.playlist, &playlist));
            }
        }
        self.keep(found);
        self.previous = Some(Previous {
            body: body.to_vec(),
            playlist: playlist.clone(),
            changed_at,
        });
        playlist
    }

    pub(crate) fn keep(&mut self, found: Vec<Violation>) {
        self.violations_total += found.len() as u64;
        let room = VIOLATIONS_MAX - self.violations.len();
        self.violations.extend(found.into_iter().take(room));
    }
}

/// The rules about text that hold for both kinds of playlist.
fn text_rules(body: &[u8]) -> Vec<Violation> {
    let (text, is_utf8) = decode(body);
    let mut found = Vec::new();
    let mut broken =
        |rule, line, detail: &str| found.push(Violation::new(rule, line, detail.to_owned()));
    if !is_utf8 {
        broken(Rule::Encoding, 0, "not UTF-8, or a byte order mark");
    }
    if text
        .chars()
        .any(|c| c.is_ascii_control() && c != '\n' && c != '\r')
    {
        broken(Rule::Encoding, 0, "a control character");
    }
    if !text.ends_with('\n') {
        broken(Rule::FinalNewline, 0, "no newline at the end");
    }
    if text.lines().next() != Some("#EXTM3U") {
        broken(Rule::FirstLine, 1, text.lines().next().unwrap_or_default());
    }
    let versions = lines(&text).filter(|(_, line)| matches!(line, Line::Tag("EXT-X-VERSION", _)));
    for (line, _) in versions.skip(1) {
        broken(Rule::TagRepeated, line, "EXT-X-VERSION");
    }
    found
}

fn absolute(uri: &str, line: usize) -> Option<Violation> {
    let is_absolute = uri.starts_with('/')
        || uri
            .split(['/', '?', '#'])
            .next()
            .is_some_and(|first| first.contains(':'));
    is_absolute.then(|| {
        Violation::new(
            Rule::AbsoluteUri,
            line,
            uri.chars().take(60).collect::<String>(),
        )
    })
}

/// Digits only (§4.2), at most 2⁶⁴−1.
fn integer(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
