//! What a player lived through.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Stall;
use crate::Sha256;
use crate::checker::Violation;

/// Everything that a player recorded.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What it played, without secrets.
    pub url: String,
    /// How long it has been running.
    pub ran: Duration,
    /// The segments that it has, in the order in which it fetched them.
    pub segments: Vec<Played>,
    /// `EXT-X-GAP` segments, by number.
    pub gaps: Vec<u64>,
    /// Segments that were removed before they could be seen, or that failed at every attempt.
    pub lost: Vec<Lost>,
    /// Segments with the bytes of an earlier one, by number.
    pub repeated: Vec<u64>,
    /// How often the media sequence went back behind what was played.
    pub rewinds: u64,
    /// Times without picture; always empty for a greedy player.
    pub stalls: Vec<Stall>,
    /// The least that the buffer held when a segment arrived.
    pub buffer_least: Option<Duration>,
    /// Broken rules of the playlists, at most 200.
    pub violations: Vec<Violation>,
    /// All broken rules.
    pub violations_total: u64,
    /// The longest time between two playlists that were alike.
    pub longest_unchanged: Duration,
    /// Playlists fetched.
    pub reloads: u64,
    /// Status codes of playlists; 0 for a request that got no answer.
    pub playlist_statuses: BTreeMap<u16, u64>,
    /// The same of segments, keys and maps.
    pub segment_statuses: BTreeMap<u16, u64>,
    /// Hashes of `EXT-X-MAP` resources, in the order of their use.
    pub maps: Vec<Sha256>,
    /// The first errors in words.
    pub errors: Vec<String>,
    /// Whether the playlist ended and all of it was played.
    pub ended: bool,
}

/// A segment that was fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// Its media sequence number.
    pub number: u64,
    /// As the playlist has it.
    pub uri: String,
    /// `EXTINF`.
    pub duration: Duration,
    /// Whether a discontinuity stands before it.
    pub discontinuity: bool,
    /// `EXT-X-PROGRAM-DATE-TIME` in milliseconds since the Unix epoch, where it is written.
    pub unix_ms: Option<i64>,
    /// Of the decrypted body.
    pub hash: Sha256,
    /// Length of the decrypted body.
    pub bytes: usize,
    /// When it was complete, after the player's start.
    pub at: Duration,
}

/// Segments that a player should have played.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The first number.
    pub number: u64,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
}

impl Report {
    /// What a viewer would complain of, and every broken rule; empty if all went well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let stalled: Duration = self.stalls.iter().map(|stall| stall.lasted).sum();
        if !self.stalls.is_empty() {
            problems.push(format!(
                "stalled {} times, {stalled:?} in all: {:?}",
                self.stalls.len(),
                self.stalls
            ));
        }
        problems.extend(
            self.lost
                .iter()
                .map(|lost| format!("lost {} from {}: {}", lost.count, lost.number, lost.reason)),
        );
        if !self.repeated.is_empty() {
            problems.push(format!("played again: {:?}", self.repeated));
        }
        if self.rewinds > 0 {
            problems.push(format!("the sequence went back {} times", self.rewinds));
        }
        problems.extend(self.violations.iter().map(ToString::to_string));
        for (what, statuses) in [
            ("playlist", &self.playlist_statuses),
            ("segment", &self.segment_statuses),
        ] {
            let bad = statuses
                .iter()
                .filter(|(status, _)| !(200..300).contains(*status));
            problems.extend(
                bad.map(|(status, count)| format!("{what} status {status}: {count} times")),
            );
        }
        problems
    }

    /// Whether there is nothing to complain of and something was played.
    pub fn is_clean(&self) -> bool {
        self.problems().is_empty() && !self.segments.is_empty()
    }

    /// The hashes of what was played.
    pub fn hashes(&self) -> Vec<Sha256> {
        self.segments.iter().map(|segment| segment.hash).collect()
    }

    /// The numbers of the segments that begin with a discontinuity.
    pub fn discontinuities(&self) -> Vec<u64> {
        self.segments
            .iter()
            .filter(|segment| segment.discontinuity)
            .map(|segment| segment.number)
            .collect()
    }
}

/// How many of the newest segments are printed.
const PRINTED: usize = 12;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "player of {} after {:.3?}", self.url, self.ran)?;
        let range = self
            .segments
            .first()
            .zip(self.segments.last())
            .map(|(first, last)| (first.number, last.number));
        writeln!(
            f,
            "  {} segments {range:?}, {} gaps, discontinuities {:?}",
            self.segments.len(),
            self.gaps.len(),
            self.discontinuities()
        )?;
        writeln!(
            f,
            "  {} reloads, unchanged for at most {:.3?}, least buffer {:.3?}",
            self.reloads, self.longest_unchanged, self.buffer_least
        )?;
        writeln!(
            f,
            "  statuses: playlists {:?}, segments {:?}",
            self.playlist_statuses, self.segment_statuses
        )?;
        for problem in self.problems() {
            writeln!(f, "  ! {problem}")?;
        }
        for error in &self.errors {
            writeln!(f, "  error: {error}")?;
        }
        for played in self.segments.iter().rev().take(PRINTED).rev() {
            let Played {
                number,
                uri,
                duration,
                hash,
                bytes,
                at,
                ..
            } = played;
            let mark = if played.discontinuity {
                " discontinuity"
            } else {
                ""
            };
            writeln!(
                f,
                "  {number:>6} {hash} {bytes:>8} bytes {duration:?} at {at:.3?} {uri}{mark}"
            )?;
        }
        Ok(())
    }
}
