//! NZB documents: what a post consists of, and who it is.
//!
//! The reader is streaming and lenient where posters and indexers are careless (encodings, stray
//! ampersands, numbers), strict where a document could do harm or is not whole.

mod identity;
mod parse;
mod subject;
mod text;

pub use identity::{ContentId, password_in_name};
pub use parse::{BadDocument, DOCUMENT_BYTES_MAX};

use crate::nntp::MessageId;

/// A post: its files, in the document's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// `<meta type="title">` or `"name"`.
    pub title: Option<String>,
    /// `<meta type="category">`.
    pub category: Option<String>,
    /// `<meta type="password">`; indexers give several where they are not sure.
    pub passwords: Vec<base::Redacted<String>>,
    /// Each with one segment at least.
    pub files: Vec<File>,
    /// Segments left out: their message-id was none.
    pub bad_segments: u32,
}

/// A file of the post. All that is known before an article is fetched is hearsay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// The subject as posted.
    pub subject: String,
    /// The file's name that the subject gives, or what comes nearest to one: without directories
    /// and control characters.
    pub name: String,
    /// When it was posted, in seconds since 1970.
    pub posted_s: Option<i64>,
    /// Newsgroups, as written.
    pub groups: Vec<String>,
    /// One for each number, in order of the numbers.
    pub segments: Vec<Segment>,
    /// Further segments with the number of another one: reposts that may serve in its stead.
    pub duplicates: Vec<Segment>,
    /// How many segments the subject's last counter announces.
    pub announced: Option<u32>,
}

/// One article of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The article.
    pub id: MessageId,
    /// Position in the file, from 1.
    pub number: u32,
    /// Encoded bytes as the document says, 0 where it does not: 2 to 4 % more than what it decodes
    /// to, or a lie.
    pub bytes: u32,
}

impl File {
    /// Encoded bytes of all segments, as the document says.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.bytes)).sum()
    }

    /// Numbers that no segment has: gaps, and what is missing of those announced.
    pub fn missing(&self) -> u32 {
        let last = self.segments.last().map_or(0, |s| s.number);
        let have = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        last.max(self.announced.unwrap_or(0)).saturating_sub(have)
    }
}

#[cfg(test)]
mod tests;
