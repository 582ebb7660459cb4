//! Identifiers that appear in URLs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A channel's name in every URL: 1 to 64 characters of `[a-z0-9_-]`, and neither `hls` nor `g`,
/// which are path segments of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelId(String);

/// Why a string is no [`ChannelId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel id {id:?} {reason}")]
pub struct InvalidChannelId {
    id: String,
    reason: &'static str,
}

const RESERVED: [&str; 2] = ["hls", "g"];
const LENGTH_MAX: usize = 64;

impl ChannelId {
    /// The id as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelId {
    type Err = InvalidChannelId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let reason = if id.is_empty() {
            "is empty"
        } else if id.len() > LENGTH_MAX {
            "is longer than 64 characters"
        } else if !id.bytes().all(allowed) {
            "may hold only a-z, 0-9, _ and -"
        } else if RESERVED.contains(&id) {
            "is reserved"
        } else {
            return Ok(Self(id.to_owned()));
        };
        let id = id.chars().take(LENGTH_MAX).collect();
        Err(InvalidChannelId { id, reason })
    }
}

impl TryFrom<String> for ChannelId {
    type Error = InvalidChannelId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<ChannelId> for String {
    fn from(id: ChannelId) -> Self {
        id.0
    }
}

impl std::borrow::Borrow<str> for ChannelId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_alphabet_and_refuses_the_rest_by_name() {
        assert_eq!(
            "news_24-hd".parse::<ChannelId>().unwrap().as_str(),
            "news_24-hd"
        );
        for (id, reason) in [
            ("", "is empty"),
            ("News", "may hold only"),
            ("a/b", "may hold only"),
            ("hls", "is reserved"),
            ("g", "is reserved"),
            (&"x".repeat(65), "longer than 64"),
        ] {
            let error = id.parse::<ChannelId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{id:?}: {error}");
        }
    }
}
