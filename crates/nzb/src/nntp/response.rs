//! What comes back: status lines and multi-line blocks, in pieces cut anywhere (RFC 3977 §3.1).

use super::Status;

/// Octets of a status line. The standard has 512; servers that welcome with a paragraph exist.
const STATUS_OCTETS_MAX: usize = 2048;

/// What the server sent is not NNTP, or too much of it: the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// A status line that does not begin with three digits.
    #[error("status line does not begin with a three-digit code")]
    Code,
    /// A status line without end.
    #[error("status line longer than {0} bytes")]
    StatusTooLong(usize),
    /// A block larger than its reader allows.
    #[error("multi-line response larger than {0} bytes")]
    BlockTooLarge(usize),
}

impl BadResponse {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        match self {
            Self::Code => base::ErrorKind::Corrupt,
            Self::StatusTooLong(_) | Self::BlockTooLarge(_) => base::ErrorKind::TooLarge,
        }
    }
}

/// Reads status lines, one after another.
#[derive(Clone, Debug, Default)]
pub struct StatusReader {
    line: Vec<u8>,
}

impl StatusReader {
    /// Takes bytes up to the end of the status line: how many, and the status once it is complete.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Status>), BadResponse> {
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |at| at + 1);
        if self.line.len() + taken > STATUS_OCTETS_MAX {
            return Err(BadResponse::StatusTooLong(STATUS_OCTETS_MAX));
        }
        self.line.extend_from_slice(&input[..taken]);
        if end.is_none() {
            return Ok((taken, None));
        }
        let status = parse(&self.line).ok_or(BadResponse::Code)?;
        self.line.clear();
        Ok((taken, Some(status)))
    }
}

fn parse(line: &[u8]) -> Option<Status> {
    let (digits, text) = line.trim_ascii_end().split_at_checked(3)?;
    let is_code = digits.iter().all(u8::is_ascii_digit) && (b'1'..=b'5').contains(&digits[0]);
    let separated = text.first().is_none_or(u8::is_ascii_whitespace);
    (is_code && separated).then(|| Status {
        code: digits
            .iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
        text: String::from_utf8_lossy(text.trim_ascii())
            .chars()
            .filter(|c| !c.is_control())
            .collect(),
    })
}

/// Reads one multi-line block into memory: headers, capabilities. Bodies go to
/// [`yenc::Decoder`](crate::yenc::Decoder).
#[derive(Clone, Debug)]
pub struct Block {
    text: Vec<u8>,
    bytes_max: usize,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    LineStart,
    Dot,
    DotCr,
    Line,
    Cr,
}

impl Block {
    /// A reader that takes at most `bytes_max` bytes of text.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            text: Vec::new(),
            bytes_max,
            at: At::LineStart,
        }
    }

    /// Takes bytes up to the end of the block: how many, and whether the end is among them.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, bool), BadResponse> {
        for (read, &byte) in input.iter().enumerate() {
            let (at, dropped) = match (self.at, byte) {
                (At::LineStart, b'.') => (At::Dot, true),
                (At::Dot, b'\r') => (At::DotCr, true),
                (At::DotCr, b'\n') => return Ok((read + 1, true)),
                (At::Cr, b'\n') => (At::LineStart, false),
                (_, b'\r') => (At::Cr, false),
                _ => (At::Line, false),
            };
            self.at = at;
            if dropped {
                continue;
            }
            if self.text.len() == self.bytes_max {
                return Err(BadResponse::BlockTooLarge(self.bytes_max));
            }
            self.text.push(byte);
        }
        Ok((input.len(), false))
    }

    /// The lines so far, undotted, without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text
            .split_inclusive(|&b| b == b'\n')
            .map(<[u8]>::trim_ascii_end)
    }

    /// Whether a CAPABILITIES block names `label` with `argument` (RFC 3977 §9.5), in any case.
    pub fn has_capability(&self, label: &str, argument: Option<&str>) -> bool {
        let is = |word: &[u8], wanted: &str| word.eq_ignore_ascii_case(wanted.as_bytes());
        self.lines().any(|line| {
            let mut words = line.split(u8::is_ascii_whitespace);
            words.next().is_some_and(|word| is(word, label))
                && argument.is_none_or(|wanted| words.any(|word| is(word, wanted)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<(u16, &str), BadResponse>) {
        let got = StatusReader::default()
            .push(line.as_bytes())
            .map(|(_, status)| status.expect("a whole line"));
        assert_eq!(
            got.as_ref()
                .map(|status| (status.code, &*status.text))
                .map_err(|&e| e),
            expected,
            "{line:?}"
        );
    }

    #[test]
    fn reads_status_lines() {
        check("200 hello there\r\n", Ok((200, "hello there")));
        check("430\r\n", Ok((430, "")));
        check("222 0 <a@b> body\n", Ok((222, "0 <a@b> body")));
        check("502 a\x1b[31mb\r\n", Ok((502, "a[31mb")));
        for bad in [
            "\r\n",
            "20\r\n",
            "2000 x\r\n",
            "600 x\r\n",
            "abc\r\n",
            "=ybegin\r\n",
        ] {
            check(bad, Err(BadResponse::Code));
        }
        let long = format!("200 {}", "x".repeat(STATUS_OCTETS_MAX));
        let got = StatusReader::default().push(long.as_bytes());
        assert_eq!(got, Err(BadResponse::StatusTooLong(STATUS_OCTETS_MAX)));
    }

    #[test]
    fn a_block_ends_where_rfc_3977_says() {
        let wire = b"one\r\n..two\r\n.three\r\n\r\n.\r\n200 next";
        for cut in 0..wire.len() - 8 {
            let mut block = Block::new(100);
            assert_eq!(block.push(&wire[..cut]), Ok((cut, false)));
            assert_eq!(
                block.push(&wire[cut..]),
                Ok((wire.len() - 8 - cut, true)),
                "{cut}"
            );
            let lines: Vec<_> = block.lines().collect();
            assert_eq!(lines, [&b"one"[..], b".two", b"three", b""]);
        }
        assert_eq!(
            Block::new(3).push(b"abc\r\n"),
            Err(BadResponse::BlockTooLarge(3))
        );
        assert_eq!(Block::new(0).push(b".\r\n"), Ok((3, true)));
    }

    #[test]
    fn finds_capabilities() {
        let mut block = Block::new(1000);
        block
            .push(b"VERSION 2\r\nCOMPRESS DEFLATE\r\nauthinfo USER\r\n.\r\n")
            .unwrap();
        assert!(block.has_capability("compress", Some("deflate")));
        assert!(block.has_capability("AUTHINFO", None));
        assert!(!block.has_capability("COMPRESS", Some("GZIP")));
        assert!(!block.has_capability("DEFLATE", None));
    }

    proptest! {
        #[test]
        fn pieces_read_as_the_whole(text in "[ -~\r\n.]{0,80}", cut in 0usize..80) {
            let wire = format!("211 {}\r\n", text.replace(['\r', '\n'], " "));
            let cut = cut.min(wire.len() - 1);
            let mut whole = StatusReader::default();
            let mut pieces = StatusReader::default();
            let expected = whole.push(wire.as_bytes()).unwrap().1;
            prop_assert_eq!(pieces.push(&wire.as_bytes()[..cut]).unwrap(), (cut, None));
            prop_assert_eq!(pieces.push(&wire.as_bytes()[cut..]).unwrap().1, expected);
        }
    }
}
