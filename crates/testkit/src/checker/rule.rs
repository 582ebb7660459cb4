//! The rules by name, with the sections that they come from.

use std::fmt;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// The line that breaks it, counted from 1; 0 where no single line does.
    pub line: usize,
    /// What was found, in a few words.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(rule: Rule, line: usize, detail: impl Into<String>) -> Self {
        Self {
            rule,
            line,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, line, detail } = self;
        write!(f, "{rule:?} ({}", rule.section())?;
        if *line > 0 {
            write!(f, ", line {line}")?;
        }
        write!(f, "): {}: {detail}", rule.text())
    }
}

macro_rules! rules {
    ($($name:ident, $section:literal, $text:literal;)*) => {
        /// What a playlist must be. Sections are of RFC 8216; "bis" are of its second edition; "Perennial"
        /// are promises of this project's own to players.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $text] $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Where the rule stands.
            pub const fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)* }
            }

            /// The rule in a sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rules! {
    Encoding, "§4", "a playlist is UTF-8 without byte order mark and control characters";
    FinalNewline, "§4.1", "each line is terminated, the last one too";
    FirstLine, "§4.3.1.1", "the first line is EXTM3U";
    MixedPlaylist, "§4.1", "a playlist has tags of a media or of a multivariant playlist, not of both";
    TagSyntax, "§4.3", "a tag's value has the form that its section gives";
    AttributeSyntax, "§4.2", "attributes are NAME=value, once each, quoted exactly where they must be";
    AttributeMissing, "§4.3", "required attributes are there";
    TagRepeated, "§4.3.3", "a tag about the whole playlist stands once";
    TagTooLate, "§4.3.3", "sequence numbers stand before the first segment";
    VersionTooLow, "§7", "EXT-X-VERSION covers the features used";
    TargetDurationMissing, "§4.3.3.1", "a media playlist has EXT-X-TARGETDURATION";
    TargetDurationExceeded, "§4.3.3.1", "no EXTINF, rounded, is longer than the target duration";
    TargetDurationChanged, "§6.2.1", "the target duration never changes";
    ExtinfMissing, "§4.3.2.1", "each segment has an EXTINF";
    ByteRangeOffset, "§4.3.2.2", "a byte range without offset follows a range of the same resource";
    DateRangeWithoutDate, "§4.3.2.7", "a playlist with EXT-X-DATERANGE has EXT-X-PROGRAM-DATE-TIME";
    DateBackwards, "§4.3.2.6", "dates rise within a run without discontinuity";
    MediaSequenceBack, "§6.2.2", "the media sequence number never goes back";
    SegmentChanged, "§6.2.1", "a listed segment keeps number, URI, duration, range, date, key and map";
    TailRemoved, "§6.2.1", "segments are removed from the beginning only";
    DiscontinuityMoved, "§6.2.2", "a segment's discontinuity sequence number never changes";
    WindowTooShort, "§6.2.2", "nothing is removed that leaves less than three target durations";
    ChangedAfterEnd, "§4.3.3.4", "nothing changes after EXT-X-ENDLIST";
    RemovedTooEarly, "§6.2.2", "a removed segment stays available for its duration and that of the longest playlist";
    UriMissing, "§4.3.4.2", "EXT-X-STREAM-INF is followed by a URI";
    GroupMissing, "§4.3.4.2", "a variant's groups exist";
    GroupAmbiguous, "§4.3.4.1.1", "names are unique in a group, and at most one rendition is the default";
    ImplicitIv, "Perennial", "AES-128 keys have an explicit IV";
    MapNotRepeated, "Perennial", "EXT-X-MAP is stated again after a discontinuity";
    AbsoluteUri, "Perennial", "URIs are relative";
    LowLatency, "Perennial", "there are no low-latency tags while no parts are served";
}
