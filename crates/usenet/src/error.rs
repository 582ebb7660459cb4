//! What can go wrong: with a call, with a post, with a body.

use std::fmt;
use std::io;
use std::path::PathBuf;

use base::ErrorKind;
use serde::{Serialize, Serializer};

/// Why a call to the engine fails. A post that cannot be played is no error of a call: see [`Failure`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The post cannot be played, or is no NZB.
    #[error("{0}")]
    Failed(Failure),
    /// State could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A provider's settings cannot be used.
    #[error("provider {host}: {what}")]
    Settings {
        /// The provider.
        host: String,
        /// What is wrong.
        what: String,
    },
    /// A provider cannot be used now.
    #[error("provider {host}: {what}")]
    Provider {
        /// Host and port.
        host: String,
        /// It refuses the account.
        is_denied: bool,
        /// At which step, and what it said.
        what: String,
    },
    /// The folder for articles cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The name or category holds what no path of ours may hold.
    #[error("{what} {text:?} cannot be part of a path")]
    Name {
        /// Which of the two.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// A name that another mount of the category has.
    #[error("{category}/{name} exists")]
    Taken {
        /// The category.
        category: String,
        /// The name.
        name: String,
    },
}

impl Error {
    /// What it means to the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed(failure) => failure.code.kind(),
            Self::Store(error) => error.kind(),
            Self::Settings { .. } | Self::Name { .. } => ErrorKind::Invalid,
            Self::Taken { .. } => ErrorKind::Conflict,
            Self::Folder { .. } => ErrorKind::Internal,
            Self::Provider { is_denied, .. } => {
                if *is_denied {
                    ErrorKind::Denied
                } else {
                    ErrorKind::Unavailable
                }
            }
        }
    }

    /// What to do about it; empty where the message says all.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint(),
            Self::Provider {
                is_denied: true, ..
            } => "check the provider's username and password",
            Self::Provider { .. } => {
                "check the provider's host, port and tls, and whether it is up"
            }
            Self::Folder { .. } => {
                "let the user that runs perennial own it, on a disk that is writable"
            }
            Self::Failed(_) | Self::Settings { .. } | Self::Name { .. } | Self::Taken { .. } => "",
        }
    }
}

/// Why a post, or a file of it, cannot be played. The words are those of the streams API, and kept in
/// the store: they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Not an NZB, or one without articles.
    BadNzb,
    /// Nearly nothing of it is left at any provider.
    DeadPost,
    /// Too much of it is missing at every provider.
    Incomplete,
    /// It wants a password and none was given.
    Encrypted,
    /// The password does not open it.
    WrongPassword,
    /// The archive is packed: nothing in it can be played as it is.
    Compressed,
    /// An archive of a kind, or with a feature, that we do not know.
    Unsupported,
    /// It holds nothing that can be played.
    NoMedia,
    /// It was not ready in time.
    Timeout,
    /// The NZB could not be fetched. Never made here: for whoever fetches NZBs.
    UpstreamFetch,
    /// No provider answers.
    ProviderUnavailable,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BadNzb,
        Self::DeadPost,
        Self::Incomplete,
        Self::Encrypted,
        Self::WrongPassword,
        Self::Compressed,
        Self::Unsupported,
        Self::NoMedia,
        Self::Timeout,
        Self::UpstreamFetch,
        Self::ProviderUnavailable,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadNzb => "bad_nzb",
            Self::DeadPost => "dead_post",
            Self::Incomplete => "incomplete",
            Self::Encrypted => "encrypted",
            Self::WrongPassword => "wrong_password",
            Self::Compressed => "compressed",
            Self::Unsupported => "unsupported",
            Self::NoMedia => "no_media",
            Self::Timeout => "timeout",
            Self::UpstreamFetch => "upstream_fetch",
            Self::ProviderUnavailable => "provider_unavailable",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// Whether the same post may play later without anything being changed: it is tried again when it is
    /// submitted again.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::UpstreamFetch | Self::ProviderUnavailable
        )
    }

    /// What it means to the caller.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::DeadPost | Self::Incomplete => ErrorKind::NotFound,
            Self::Encrypted | Self::WrongPassword => ErrorKind::Denied,
            Self::BadNzb | Self::Compressed | Self::Unsupported | Self::NoMedia => {
                ErrorKind::Invalid
            }
            Self::Timeout => ErrorKind::Timeout,
            Self::UpstreamFetch | Self::ProviderUnavailable => ErrorKind::Unavailable,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a post, or a file of it, cannot be played: the code and what was found, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// For people: what, where, which host or article. No secrets.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a body ends before its end. The bytes that came before are right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No provider has an article, and it cannot be made up for.
    #[error("article {article} is missing at every provider")]
    Missing {
        /// Its message-id.
        article: String,
    },
    /// An article's bytes are not those that were posted.
    #[error("article {article} of {host}: {what}")]
    Damaged {
        /// The provider that it came from.
        host: String,
        /// Its message-id.
        article: String,
        /// What is wrong with it.
        what: String,
    },
    /// No provider answers.
    #[error("article {article}: {what}")]
    Unavailable {
        /// Its message-id.
        article: String,
        /// Which provider, and what it does.
        what: String,
    },
    /// What the post's headers say of its bytes does not hold.
    #[error("{0}")]
    Map(String),
    /// The mount was deleted, or the engine stops.
    #[error("the mount was closed")]
    Closed,
}

impl ReadError {
    /// What it means to the caller.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Damaged { .. } | Self::Map(_) => ErrorKind::Corrupt,
            Self::Unavailable { .. } | Self::Closed => ErrorKind::Unavailable,
        }
    }
}
