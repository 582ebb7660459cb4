//! The control lines: `=ybegin`, `=ypart`, `=yend`.

use super::{FILE_BYTES_MAX, PART_BYTES_MAX};

/// What an article says about the bytes that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file's name: UTF-8, or Latin-1 where it is not.
    pub name: String,
    /// Length of the whole file in bytes, as the poster declared it.
    pub file_size: u64,
    /// Number of this part, from 1, and of all parts where that is said.
    pub number: Option<u32>,
    /// How many parts the file has.
    pub total: Option<u32>,
    /// Offset of the first byte in the file.
    pub begin: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl Part {
    /// Bytes that the article holds.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length of a span, not of a collection"
    )]
    pub const fn len(&self) -> u64 {
        self.end - self.begin
    }
}

/// A control line that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// A key that must be there is not, or its value is no number.
    #[error("{line} without a usable {key}=")]
    Key {
        /// The line's keyword.
        line: &'static str,
        /// The key.
        key: &'static str,
    },
    /// `=ybegin part=` must be followed by `=ypart`.
    #[error("=ybegin of a part without =ypart")]
    NoPart,
    /// A control line where none may be.
    #[error("control line out of place")]
    Misplaced,
    /// A control line longer than any can be.
    #[error("control line longer than {0} bytes")]
    TooLong(usize),
    /// `=ypart` names no bytes of the file, or more than an article may hold, or the file is larger
    /// than any.
    #[error("part of bytes {begin} to {end} in a file of {size}")]
    Span {
        /// Offset of the first byte.
        begin: u64,
        /// Offset behind the last.
        end: u64,
        /// The file's length.
        size: u64,
    },
}

/// The fields of `=ybegin` that outlive its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    name: String,
    size: u64,
    part: Option<u32>,
    total: Option<u32>,
}

impl Begin {
    /// `fields` is the line behind its keyword.
    pub(super) fn parse(fields: &[u8]) -> Result<Self, BadHeader> {
        const LINE: &str = "=ybegin";
        let bad = |key| BadHeader::Key { line: LINE, key };
        // The name comes last and may hold anything, spaces and equals signs too.
        let at = memchr::memmem::find(fields, b"name=").ok_or(bad("name"))?;
        let (fields, name) = (&fields[..at], fields[at + 5..].trim_ascii());
        Ok(Self {
            name: text(name),
            size: number(fields, "size").ok_or(bad("size"))?,
            part: number(fields, "part").and_then(|n| u32::try_from(n).ok()),
            total: number(fields, "total").and_then(|n| u32::try_from(n).ok()),
        })
    }

    /// Whether `=ypart` must follow.
    pub(super) fn is_multipart(&self) -> bool {
        self.part.is_some()
    }

    /// The part where the article is the whole file.
    pub(super) fn whole(self) -> Result<Part, BadHeader> {
        let end = self.size;
        self.span(0, end)
    }

    /// The part with the `=ypart` line whose fields are given. Its `begin` counts from 1.
    pub(super) fn part(self, fields: &[u8]) -> Result<Part, BadHeader> {
        let key = |key| {
            number(fields, key).ok_or(BadHeader::Key {
                line: "=ypart",
                key,
            })
        };
        let (first, end) = (key("begin")?, key("end")?);
        let begin = first.checked_sub(1).ok_or(BadHeader::Key {
            line: "=ypart",
            key: "begin",
        })?;
        self.span(begin, end)
    }

    fn span(self, begin: u64, end: u64) -> Result<Part, BadHeader> {
        let len = end.checked_sub(begin);
        if self.size > FILE_BYTES_MAX
            || end > self.size
            || len.is_none_or(|len| len > PART_BYTES_MAX)
        {
            return Err(BadHeader::Span {
                begin,
                end,
                size: self.size,
            });
        }
        Ok(Part {
            name: self.name,
            file_size: self.size,
            number: self.part,
            total: self.total,
            begin,
            end,
        })
    }
}

/// What `=yend` says of the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) size: u64,
    pub(super) crc: Option<u32>,
}

impl End {
    /// `pcrc32` is the part's. `crc32` is the file's, which is the part's only in a file of one
    /// part; some posters write it into every part all the same.
    pub(super) fn parse(fields: &[u8], is_multipart: bool) -> Result<Self, BadHeader> {
        let size = number(fields, "size").ok_or(BadHeader::Key {
            line: "=yend",
            key: "size",
        })?;
        let crc = hex(fields, "pcrc32").or_else(|| {
            if is_multipart {
                None
            } else {
                hex(fields, "crc32")
            }
        });
        Ok(Self { size, crc })
    }
}

fn value<'a>(fields: &'a [u8], key: &str) -> Option<&'a [u8]> {
    fields
        .split(u8::is_ascii_whitespace)
        .find_map(|field| field.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

fn number(fields: &[u8], key: &str) -> Option<u64> {
    let digits = value(fields, key)?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

/// Hexadecimal digits: eight, but posters drop leading zeros or write sixteen.
fn hex(fields: &[u8], key: &str) -> Option<u32> {
    let digits = str::from_utf8(value(fields, key)?).ok()?;
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16)
        .ok()
        .map(|crc| (crc & 0xffff_ffff) as u32)
}

fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().map(|&b| char::from(b)).collect(),
        str::to_owned,
    )
}
