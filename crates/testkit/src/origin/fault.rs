//! The ways in which an origin breaks.

use std::str::FromStr;
use std::time::Duration;

/// What is wrong with an origin at the moment. [`Fault::Renumber`] is an event and passes by itself;
/// all others last until they are lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Connections are reset.
    Dead,
    /// Requests are accepted and never answered.
    Stall,
    /// Bodies come at a byte a second.
    Trickle,
    /// The playlist stands still.
    Freeze,
    /// Every answer has this status.
    Status {
        /// The status code.
        code: u16,
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Every answer is a web page with status 200.
    Html,
    /// Segments are noise.
    Garbage,
    /// So many percent of the packets of each segment are damaged: half of them have lost sync, half have the
    /// error indicator set.
    Corrupt(u8),
    /// Playlists are fine, segments are 404.
    SegmentsFail,
    /// The encoder has restarted: numbers begin at 0 again, names are used again, media goes on.
    Renumber,
    /// The playlist ends.
    EndList,
    /// Bodies come at so many bytes a second.
    Slow(u32),
    /// Segments never end.
    Endless,
    /// The playlist is a few kilobytes of gzip that hold 64 MiB.
    GzipBomb,
    /// Every URL redirects to another.
    RedirectLoop,
    /// The playlist has 60,000 segments and more than 4 MiB.
    HugePlaylist,
    /// The playlist has a line of a megabyte.
    LongLine,
    /// Bodies stop halfway of their `Content-Length`.
    CutBody,
}

/// Which answers a fault spoils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    All,
    /// Playlists of both kinds.
    Playlists,
    /// Segments.
    Segments,
}

impl Fault {
    /// One of each, with common parameters, in the order of the demo's buttons.
    pub const ALL: [Self; 18] = [
        Self::Dead,
        Self::Stall,
        Self::Trickle,
        Self::Freeze,
        Self::Status {
            code: 404,
            retry_after: None,
        },
        Self::Html,
        Self::Garbage,
        Self::Corrupt(20),
        Self::SegmentsFail,
        Self::Renumber,
        Self::EndList,
        Self::Slow(10_000),
        Self::Endless,
        Self::GzipBomb,
        Self::RedirectLoop,
        Self::HugePlaylist,
        Self::LongLine,
        Self::CutBody,
    ];

    /// The fault in a word, as a button and a URL name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Stall => "stall",
            Self::Trickle => "trickle",
            Self::Freeze => "freeze",
            Self::Status { .. } => "status",
            Self::Html => "html",
            Self::Garbage => "garbage",
            Self::Corrupt(_) => "corrupt",
            Self::SegmentsFail => "segments-fail",
            Self::Renumber => "renumber",
            Self::EndList => "endlist",
            Self::Slow(_) => "slow",
            Self::Endless => "endless",
            Self::GzipBomb => "gzip-bomb",
            Self::RedirectLoop => "redirect-loop",
            Self::HugePlaylist => "huge-playlist",
            Self::LongLine => "long-line",
            Self::CutBody => "cut-body",
        }
    }

    /// What the fault spoils unless told otherwise.
    pub const fn target(self) -> Target {
        match self {
            Self::Dead
            | Self::Stall
            | Self::Trickle
            | Self::Status { .. }
            | Self::Html
            | Self::Slow(_)
            | Self::RedirectLoop => Target::All,
            Self::Freeze
            | Self::Renumber
            | Self::EndList
            | Self::GzipBomb
            | Self::HugePlaylist
            | Self::LongLine => Target::Playlists,
            Self::Garbage
            | Self::Corrupt(_)
            | Self::SegmentsFail
            | Self::Endless
            | Self::CutBody => Target::Segments,
        }
    }
}

/// A word that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fault is called {0:?}")]
pub struct UnknownFault(String);

/// The fault of that [`Fault::word`], with common parameters; a number stands for that status.
impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Some(code) = word.parse().ok().filter(|code| (200..600).contains(code)) {
            return Ok(Self::Status {
                code,
                retry_after: None,
            });
        }
        let known = Self::ALL.into_iter().find(|fault| fault.word() == word);
        known.ok_or_else(|| UnknownFault(word.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_word() {
        for fault in Fault::ALL {
            assert_eq!(fault.word().parse(), Ok(fault));
        }
        assert_eq!(
            "503".parse(),
            Ok(Fault::Status {
                code: 503,
                retry_after: None
            })
        );
        for bad in ["", "Dead", "99", "1000"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
    }
}
