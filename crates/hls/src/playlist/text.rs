//! Bytes to text and back: byte-order mark, newline forms, and playlists that are Latin-1 although
//! RFC 8216 §4.1 asks for UTF-8.

use super::{Error, Limits};

/// A playlist's text and how to give it back byte for byte. Newlines are `\n` here; the byte-order
/// mark is gone (RFC 8216 §4.1 forbids it; many servers send it all the same).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    latin1: bool,
}

impl Text {
    pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        if bytes.len() > limits.bytes_max {
            return Err(Error::TooLarge {
                bytes: bytes.len(),
                max: limits.bytes_max,
            });
        }
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let (text, latin1) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (bytes.iter().map(|&b| char::from(b)).collect(), true),
        };
        let text = if text.contains('\r') {
            text.replace("\r\n", "\n")
        } else {
            text
        };
        for (index, line) in text.lines().enumerate() {
            if line.len() > limits.line_max {
                return Err(Error::LongLine {
                    line: index + 1,
                    bytes: line.len(),
                    max: limits.line_max,
                });
            }
        }
        Ok(Self { text, latin1 })
    }

    /// The same playlist with another text, in the same encoding.
    pub(super) fn with(&self, text: String) -> Self {
        Self {
            text,
            latin1: self.latin1,
        }
    }

    /// Latin-1 stays Latin-1. What was put in since and does not fit becomes `?`; rewriting puts in
    /// ASCII only.
    pub(super) fn encode(&self) -> Vec<u8> {
        if self.latin1 {
            self.text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect()
        } else {
            self.text.clone().into_bytes()
        }
    }
}
