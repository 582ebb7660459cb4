//! What a status line means.

/// A status line: three digits and the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// 100 to 599.
    pub code: u16,
    /// What follows the code, without control characters; UTF-8 where the server's is.
    pub text: String,
}

/// What a status tells about the command that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Done; where [`Status::has_body`] says so, a multi-line block follows.
    Done,
    /// 381: the password is wanted.
    PasswordWanted,
    /// This server does not have the article; another one may.
    NoArticle,
    /// 480: sign in and ask again.
    SignInWanted,
    /// The account is not accepted: it stays so until somebody changes something.
    Denied,
    /// More connections than the account may have.
    TooManyConnections {
        /// The number that the server's words give, if they give one.
        limit: Option<u16>,
    },
    /// The server is unwell or closes the connection: try again elsewhere, or later.
    Unavailable,
    /// The server does not know or does not allow the command.
    Unsupported,
    /// A status that no command of ours can have.
    Unexpected,
}

impl Status {
    /// Whether a multi-line block follows (RFC 3977 §3.2 and the commands we send).
    pub fn has_body(&self) -> bool {
        matches!(
            self.code,
            100 | 101 | 215 | 220 | 221 | 222 | 224 | 225 | 230 | 231
        )
    }

    /// The code, and the words where codes are used for several things: account and connection
    /// limits come as 400, 481, 482 or 502.
    pub fn meaning(&self) -> Meaning {
        match self.code {
            100..=299 => Meaning::Done,
            381 => Meaning::PasswordWanted,
            400 | 481 | 482 | 502 if self.names_connections() => Meaning::TooManyConnections {
                limit: self.number(),
            },
            // 451: taken down. 423 and 420 cannot answer a message-id, yet some servers say it.
            420 | 423 | 430 | 451 => Meaning::NoArticle,
            480 => Meaning::SignInWanted,
            481 | 482 | 452 | 502 => Meaning::Denied,
            400 | 403 | 436 | 503 | 504 => Meaning::Unavailable,
            401 | 483 | 500 | 501 => Meaning::Unsupported,
            _ => Meaning::Unexpected,
        }
    }

    fn names_connections(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        let is_limit = ["too many", "limit", "max", "exceed", "reached"]
            .iter()
            .any(|word| text.contains(word));
        is_limit && (text.contains("connection") || text.contains("session"))
    }

    /// The only number of the text, as in "too many connections (limit 20)". Of several none is
    /// believed: one may be the count of those open, or a piece of an address.
    fn number(&self) -> Option<u16> {
        let mut numbers = self
            .text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| !digits.is_empty());
        let only = numbers.next()?.parse().ok()?;
        (numbers.next().is_none() && only > 0).then_some(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, text: &str, expected: Meaning) {
        let status = Status {
            code,
            text: text.to_owned(),
        };
        assert_eq!(status.meaning(), expected, "{code} {text}");
    }

    #[test]
    fn tells_limits_from_refusals_by_the_words() {
        let limit = |limit| Meaning::TooManyConnections { limit };
        check(502, "Too many connections", limit(None));
        check(502, "too many connections (limit 20)", limit(Some(20)));
        check(481, "Max connections of 8 reached", limit(Some(8)));
        check(482, "Connection limit exceeded: 21 of 20", limit(None));
        check(400, "Session limit reached", limit(None));
        check(502, "Authentication failed", Meaning::Denied);
        check(481, "Byte limit exceeded", Meaning::Denied);
        check(481, "wrong password", Meaning::Denied);
        check(400, "server closing", Meaning::Unavailable);
    }

    #[test]
    fn knows_the_codes() {
        check(281, "welcome", Meaning::Done);
        check(205, "bye", Meaning::Done);
        check(381, "password", Meaning::PasswordWanted);
        check(430, "no such article", Meaning::NoArticle);
        check(451, "DMCA", Meaning::NoArticle);
        check(480, "sign in", Meaning::SignInWanted);
        check(503, "timeout", Meaning::Unavailable);
        check(500, "what?", Meaning::Unsupported);
        check(340, "send it", Meaning::Unexpected);
        let has_body = |code| {
            Status {
                code,
                text: String::new(),
            }
            .has_body()
        };
        assert!(has_body(222) && has_body(101) && has_body(221));
        assert!(!has_body(223) && !has_body(430) && !has_body(111) && !has_body(211));
    }
}
