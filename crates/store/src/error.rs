//! What can go wrong, by name, and the cure.

use std::fmt;
use std::io;
use std::path::PathBuf;

use base::ErrorKind;

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory's path, or a part of it, is a file.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The operating system refuses a file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// `open`, `create`, …
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process owns the data directory.
    #[error("{} is in use by another perennial{}", path.display(), owner(*pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The owner's process id, where it is known.
        pid: Option<u32>,
    },
    /// A newer Perennial has used this store.
    #[error("{place} has schema {found}, this perennial knows up to {known}")]
    NewerSchema {
        /// The file or the server.
        place: String,
        /// The first migration that is unknown here.
        found: i64,
        /// The newest migration that is known here.
        known: i64,
    },
    /// The running owner of this store is older than this program.
    #[error("{place} has schema {found}, this perennial needs {known}, and its owner is running")]
    OlderSchema {
        /// The file or the server.
        place: String,
        /// The newest migration that was applied.
        found: i64,
        /// The newest migration that is known here.
        known: i64,
    },
    /// The schema was made by something else.
    #[error("{place} has a schema {version} that is not perennial's")]
    ForeignSchema {
        /// The file or the server.
        place: String,
        /// The migration that differs.
        version: i64,
    },
    /// The database does not do what is asked.
    #[error("{place}: {fault} while {doing}: {detail}")]
    Database {
        /// The file or the server.
        place: String,
        /// What is wrong with it.
        fault: Fault,
        /// What was asked, as in `saving positions`.
        doing: &'static str,
        /// What the database says.
        detail: String,
    },
    /// A value that cannot be stored.
    #[error("{what} {reason}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A limit on size or count was reached.
    #[error("the store holds at most {max} {what}")]
    TooLarge {
        /// Of what, with its unit.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The operating system gives no random bytes.
    #[error("no random bytes for a new secret: {0}")]
    Random(getrandom::Error),
}

/// What is wrong with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Someone else holds it, or it does not answer in time.
    Busy,
    /// No space is left.
    Full,
    /// It may not be opened or written.
    Unwritable,
    /// It is no database, or a damaged one.
    Corrupt,
    /// The server refuses this user.
    Denied,
    /// The server has no such database.
    Missing,
    /// The server cannot be reached.
    Unreachable,
    /// The server cannot be trusted, or speaks no TLS where it must.
    Tls,
    /// The store was closed.
    Closed,
    /// Anything else.
    Other,
}

impl Error {
    /// What the error means to the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADirectory { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::File { .. } | Self::Random(_) => ErrorKind::Internal,
            Self::InUse { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::ForeignSchema { .. } => ErrorKind::Conflict,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Database { fault, .. } => match fault {
                Fault::Busy => ErrorKind::Timeout,
                Fault::Unreachable | Fault::Closed => ErrorKind::Unavailable,
                Fault::Tls
                | Fault::Full
                | Fault::Unwritable
                | Fault::Corrupt
                | Fault::Denied
                | Fault::Missing
                | Fault::Other => ErrorKind::Internal,
            },
        }
    }

    /// What to do about it; empty where the message says all.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotADirectory { .. } => "let server.data_dir name a directory",
            Self::File { .. } => {
                "let the user that runs perennial own server.data_dir, on a disk that is writable"
            }
            Self::InUse { .. } => "stop the other one, or give this one its own server.data_dir",
            Self::NewerSchema { .. } => {
                "run the newer perennial, or restore the backup from before the upgrade"
            }
            Self::OlderSchema { .. } => "restart the server with this version of perennial",
            Self::ForeignSchema { .. } => "give perennial a database of its own",
            Self::Invalid { .. } | Self::TooLarge { .. } | Self::Random(_) => "",
            Self::Database { fault, .. } => fault.hint(),
        }
    }
}

impl Fault {
    fn hint(self) -> &'static str {
        match self {
            Self::Busy => "see what else uses the database",
            Self::Full => "free some space; no restart is needed",
            Self::Unwritable => "let the user that runs perennial write to it",
            Self::Corrupt => "restore a backup, or move the file away to begin anew",
            Self::Denied => "check user, password and rights in store.url",
            Self::Missing => "create the database that store.url names",
            Self::Unreachable => {
                "see that the server of store.url runs and can be reached from here"
            }
            Self::Tls => "check sslmode and sslrootcert in store.url",
            Self::Closed | Self::Other => "",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "busy",
            Self::Full => "no space left",
            Self::Unwritable => "cannot be written",
            Self::Corrupt => "damaged, or no database",
            Self::Denied => "access denied",
            Self::Missing => "no such database",
            Self::Unreachable => "unreachable",
            Self::Tls => "no secure connection",
            Self::Closed => "closed",
            Self::Other => "failed",
        })
    }
}

fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}
