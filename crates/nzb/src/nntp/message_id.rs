//! Message-ids (RFC 3977 §3.6, RFC 5536 §3.1.3).

use std::fmt;
use std::sync::Arc;

/// An article's name, kept without its angle brackets, as an NZB writes it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

/// Octets of a message-id between its brackets; with them 250.
const OCTETS_MAX: usize = 248;

/// Text that names no article, and must not reach a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message-id: empty, longer than 248 bytes, or not printable ASCII without < and >")]
pub struct BadMessageId;

impl BadMessageId {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Invalid
    }
}

impl MessageId {
    /// Takes an id with or without brackets. Whether it holds an `@` is not asked: posters leave it
    /// out and servers serve it.
    pub fn new(text: &str) -> Result<Self, BadMessageId> {
        let text = text.trim_ascii();
        let inner = text
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .unwrap_or(text);
        let is_allowed = |b: u8| b.is_ascii_graphic() && b != b'<' && b != b'>';
        if (1..=OCTETS_MAX).contains(&inner.len()) && inner.bytes().all(is_allowed) {
            Ok(Self(inner.into()))
        } else {
            Err(BadMessageId)
        }
    }

    /// The id without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let got = MessageId::new(text).ok().map(|id| id.to_string());
        assert_eq!(got.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn takes_what_can_stand_in_a_command_line() {
        check("part1of2.abc$d@host", Some("<part1of2.abc$d@host>"));
        check(" <a@b>\n", Some("<a@b>"));
        check("noat", Some("<noat>"));
        check(&"x".repeat(248), Some(&format!("<{}>", "x".repeat(248))));
        for bad in [
            "",
            "<>",
            "a b@c",
            "a@b\r\nQUIT",
            "a@b>\r\nQUIT <c",
            "\u{e4}@b",
            "a\0@b",
            "<<a@b>>",
        ] {
            check(bad, None);
        }
        check(&"x".repeat(249), None);
    }
}
