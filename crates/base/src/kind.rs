//! What an error means to the caller, whatever crate it came from.

use std::fmt;

/// The class of an error. Each library crate's error has a `kind()`; only `server` turns kinds
/// into status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong and will stay wrong.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It exists already, or is read-only here.
    Conflict,
    /// The caller, or Perennial towards an upstream, may not do this.
    Denied,
    /// A limit on size or count was passed.
    TooLarge,
    /// Too many requests; try again later.
    RateLimited,
    /// It took longer than it may.
    Timeout,
    /// The other side cannot be reached or is unwell; trying again may help.
    Unavailable,
    /// What arrived is not what it claims to be.
    Corrupt,
    /// A fault of Perennial's own: a full disk, a broken invariant.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed later without anything being changed.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Timeout | Self::Unavailable | Self::Corrupt
        )
    }

    /// The kind as a word of the API, stable across releases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
