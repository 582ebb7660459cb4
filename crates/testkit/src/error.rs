//! What can go wrong in the test kit itself, as against the faults that it plays.

use std::io;
use std::time::Duration;

use base::ErrorKind;

/// A failure of the kit, or of what it talks to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a socket of our own.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program that is not installed.
    #[error("{program} is not installed; on Debian: apt-get install {package}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A program that ended too early or with an error.
    #[error("{program} ended with {status}: {log}")]
    Exited {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// A fact that did not come true in time.
    #[error("{what} did not happen within {waited:?}")]
    Deadline {
        /// The fact.
        what: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A request that got no complete answer.
    #[error("{url}: {reason}")]
    Http {
        /// Where, without its secrets.
        url: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The error's class.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Internal,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Exited { .. } | Self::Http { .. } => ErrorKind::Unavailable,
            Self::Deadline { .. } => ErrorKind::Timeout,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
