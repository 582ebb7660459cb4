//! Playlists (RFC 8216 §4, and draft-pantos-hls-rfc8216bis for what came later): reading, rewriting
//! and giving back unchanged what was not touched.
//!
//! [`Document`] is the lossless text, [`Media`] and [`Multivariant`] are what it means. This module
//! knows nothing of live state; the window that we publish is [`crate::timeline`].

mod attributes;
mod define;
mod line;
mod media;
mod multivariant;
mod rewrite;
#[cfg(test)]
mod tests;
mod text;
mod unknown;

use url::Url;

pub use define::Variables;
pub use media::{DateRange, Key, Map, Media, Method, Segment};
pub use multivariant::{Multivariant, Rendition, RenditionKind, Resolution, Variant};
pub use rewrite::{UriKind, UriRef};

pub(crate) use media::rounded_s;
pub(crate) use unknown::tag_name;

use line::{Line, lines};
use text::Text;

/// How large a playlist may be. Beyond it, [`Error`] names the limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the decoded body.
    pub bytes_max: usize,
    /// Media segments.
    pub segments_max: usize,
    /// Bytes of one line.
    pub line_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 4 << 20,
            segments_max: 50_000,
            line_max: 64 << 10,
        }
    }
}

/// Why a body is no playlist that we can use. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message is the documentation")]
pub enum Error {
    #[error("playlist has {bytes} bytes, more than {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("line {line} has {bytes} bytes, more than {max}")]
    LongLine {
        line: usize,
        bytes: usize,
        max: usize,
    },
    #[error("playlist has more than {max} segments")]
    TooManySegments { max: usize },
    #[error("playlist has more than {max} variants and renditions")]
    TooManyVariants { max: usize },
    #[error("playlist defines more than {max} variables")]
    TooManyVariables { max: usize },
    #[error("body is no playlist: it begins with {found:?} instead of #EXTM3U")]
    NotAPlaylist { found: String },
    #[error("playlist has both segments and variants")]
    Mixed,
    #[error("playlist has neither a target duration nor segments")]
    Empty,
    #[error("line {line}: {tag} has no valid {what}")]
    Value {
        line: usize,
        tag: &'static str,
        what: &'static str,
    },
    #[error("line {line}: attribute list is malformed")]
    Attributes { line: usize },
    #[error("line {line}: {tag} has no {attribute}")]
    MissingAttribute {
        line: usize,
        tag: &'static str,
        attribute: &'static str,
    },
    #[error("line {line}: variable {name:?} is not defined")]
    UndefinedVariable { line: usize, name: String },
    #[error("line {line}: variable {name:?} is defined twice")]
    RedefinedVariable { line: usize, name: String },
    #[error("line {line}: segment without EXTINF")]
    SegmentWithoutDuration { line: usize },
    #[error("its segments are {scheme}: URLs, and only http and https are fetched")]
    ForeignSegments { scheme: String },
    #[error("line {line}: delta update that was not asked for")]
    Skip { line: usize },
    #[error("sequence number is too large")]
    SequenceOverflow,
}

impl Error {
    /// A stable word for what is wrong, as errors of channels are listed.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "playlist_too_large",
            Self::LongLine { .. } => "playlist_line_too_long",
            Self::TooManySegments { .. } => "playlist_too_many_segments",
            Self::TooManyVariants { .. } => "playlist_too_many_variants",
            Self::NotAPlaylist { .. } => "playlist_is_none",
            Self::Mixed => "playlist_mixed",
            Self::Empty => "playlist_empty",
            Self::ForeignSegments { .. } => "playlist_foreign_segments",
            Self::TooManyVariables { .. }
            | Self::UndefinedVariable { .. }
            | Self::RedefinedVariable { .. } => "playlist_bad_variable",
            Self::Value { .. }
            | Self::Attributes { .. }
            | Self::MissingAttribute { .. }
            | Self::SegmentWithoutDuration { .. }
            | Self::Skip { .. }
            | Self::SequenceOverflow => "playlist_bad_tag",
        }
    }
}

/// A playlist's text, held without loss: [`Document::render`] gives back the bytes that were parsed
/// but for newline form and byte-order mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Text);

/// Either kind of playlist.
#[derive(Clone, Debug)]
pub enum Playlist {
    /// Segments.
    Media(Media),
    /// Variants and renditions.
    Multivariant(Multivariant),
}

impl Document {
    /// Decodes `bytes` and checks that they begin as a playlist does. Leading blank lines and
    /// indentation are tolerated.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let text = Text::decode(bytes, limits)?;
        let first = text
            .text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")
            .trim();
        if !(first == "#EXTM3U" || first.starts_with("#EXTM3U ") || first.starts_with("#EXTM3U:")) {
            let found = first.chars().take(40).collect();
            return Err(Error::NotAPlaylist { found });
        }
        Ok(Self(text))
    }

    /// The playlist's bytes.
    pub fn render(&self) -> Vec<u8> {
        self.0.encode()
    }

    /// The text, with `\n` newlines.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Expands `EXT-X-DEFINE` variables and drops their definitions (RFC 8216bis §4.3). `url` is
    /// where the playlist came from, `imports` what the multivariant playlist defined.
    pub fn expand(&self, url: &Url, imports: &Variables) -> Result<(Self, Variables), Error> {
        let variables = Variables::collect(self.text(), url, imports)?;
        let expanded = variables.expand(self.text())?.into_owned();
        Ok((Self(self.0.with(expanded)), variables))
    }

    /// The document without the lines that `keep` refuses; it gets each line's number, from 1.
    #[must_use]
    pub fn retain_lines(&self, mut keep: impl FnMut(usize, &str) -> bool) -> Self {
        let lines = self.text().split_inclusive('\n').enumerate();
        let kept = lines
            .filter(|(index, line)| keep(index + 1, line))
            .map(|(_, line)| line);
        Self(self.0.with(kept.collect()))
    }

    /// Whether this is a multivariant playlist (RFC 8216 §4.1).
    pub fn is_multivariant(&self) -> bool {
        const TAGS: [&str; 3] = [
            "#EXT-X-STREAM-INF",
            "#EXT-X-MEDIA",
            "#EXT-X-I-FRAME-STREAM-INF",
        ];
        let is_one = |line| matches!(line, Line::Tag { name, .. } if TAGS.contains(&name));
        // Every reload of a live playlist comes through here: lines are only read where it may be so.
        let may_be = |tag: &str| {
            let mut found = self.text().match_indices(tag);
            found.any(|(at, _)| !self.text()[at + tag.len()..].starts_with("-SEQUENCE"))
        };
        TAGS.into_iter().any(may_be) && lines(self.text()).any(|(_, _, line)| is_one(line))
    }
}

impl Playlist {
    /// Reads a playlist that came from `url` (after redirects; relative URIs resolve against it).
    pub fn parse(
        bytes: &[u8],
        url: &Url,
        imports: &Variables,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let (document, variables) = Document::parse(bytes, limits)?.expand(url, imports)?;
        if document.is_multivariant() {
            Multivariant::read(document, variables).map(Self::Multivariant)
        } else {
            Media::read(&document, limits).map(Self::Media)
        }
    }
}
