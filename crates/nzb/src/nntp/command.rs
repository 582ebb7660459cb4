//! What we say.

use std::fmt;

use super::MessageId;

/// Octets of an argument: a command line has 512 with its CRLF (RFC 3977 §3.1), and the longest
/// keyword before a credential is `AUTHINFO USER `.
const ARGUMENT_OCTETS_MAX: usize = 496;

/// A user name or a password: one that fits a command line and cannot end it. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

/// An argument that would break its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user name or password is empty, longer than 496 bytes, or holds a control character")]
pub struct BadArgument;

impl BadArgument {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Invalid
    }
}

impl Credential {
    /// Blanks within are let through: RFC 4643 has none, some servers take them.
    pub fn new(text: &str) -> Result<Self, BadArgument> {
        let fits = (1..=ARGUMENT_OCTETS_MAX).contains(&text.len());
        if fits && !text.bytes().any(|b| b.is_ascii_control()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadArgument)
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// A command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// What the server can do.
    Capabilities,
    /// Asks a server of two faces for the reading one.
    ModeReader,
    /// RFC 4643 §2.3.
    AuthUser(&'a Credential),
    /// RFC 4643 §2.3.
    AuthPass(&'a Credential),
    /// Headers and body.
    Article(&'a MessageId),
    /// The body alone.
    Body(&'a MessageId),
    /// The headers alone.
    Head(&'a MessageId),
    /// Whether the article is there. Some servers lie.
    Stat(&'a MessageId),
    /// The server's clock: the cheapest command that proves a connection alive.
    Date,
    /// Goodbye.
    Quit,
}

impl Command<'_> {
    /// Appends the line with its CRLF.
    pub fn render(&self, out: &mut Vec<u8>) {
        let (keyword, argument) = match self {
            Self::Capabilities => ("CAPABILITIES", ""),
            Self::ModeReader => ("MODE READER", ""),
            Self::AuthUser(user) => ("AUTHINFO USER ", &*user.0),
            Self::AuthPass(pass) => ("AUTHINFO PASS ", &*pass.0),
            Self::Article(id) => ("ARTICLE <", id.as_str()),
            Self::Body(id) => ("BODY <", id.as_str()),
            Self::Head(id) => ("HEAD <", id.as_str()),
            Self::Stat(id) => ("STAT <", id.as_str()),
            Self::Date => ("DATE", ""),
            Self::Quit => ("QUIT", ""),
        };
        out.extend_from_slice(keyword.as_bytes());
        out.extend_from_slice(argument.as_bytes());
        out.extend_from_slice(if keyword.ends_with('<') {
            b">\r\n"
        } else {
            b"\r\n"
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: Command<'_>, expected: &str) {
        let mut out = b"before".to_vec();
        command.render(&mut out);
        assert_eq!(out, format!("before{expected}\r\n").as_bytes());
        assert!(out.len() <= 6 + 512);
    }

    #[test]
    fn renders_lines() {
        let id = MessageId::new("a@b").unwrap();
        let credential = Credential::new("me and you").unwrap();
        check(Command::Capabilities, "CAPABILITIES");
        check(Command::ModeReader, "MODE READER");
        check(Command::AuthUser(&credential), "AUTHINFO USER me and you");
        check(Command::AuthPass(&credential), "AUTHINFO PASS me and you");
        check(Command::Article(&id), "ARTICLE <a@b>");
        check(Command::Body(&id), "BODY <a@b>");
        check(Command::Head(&id), "HEAD <a@b>");
        check(Command::Stat(&id), "STAT <a@b>");
        check(Command::Date, "DATE");
        check(Command::Quit, "QUIT");
        let longest = Credential::new(&"x".repeat(496)).unwrap();
        check(
            Command::AuthUser(&longest),
            &format!("AUTHINFO USER {}", "x".repeat(496)),
        );
    }

    #[test]
    fn credentials_can_neither_end_the_line_nor_be_seen() {
        for bad in ["", "a\r\nQUIT", "a\nb", "a\0", &"x".repeat(497)] {
            assert_eq!(Credential::new(bad), Err(BadArgument));
        }
        let secret = Credential::new("hunter2").unwrap();
        assert!(!format!("{:?}", Command::AuthPass(&secret)).contains("hunter2"));
    }
}
