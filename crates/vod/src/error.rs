//! What can go wrong. The message is for the log and names library and key; what a viewer may hear is
//! [`Error::told`], which names neither, nor anything that a store said.

use std::sync::Arc;

use base::ErrorKind;

use crate::confine::{UriError, is_playlist};

/// Why something of a library cannot be had or changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no asset of this id or slug.
    #[error("there is no asset {0:?}")]
    NoAsset(String),
    /// The configuration has no library of this id.
    #[error("there is no library {0:?}")]
    NoLibrary(String),
    /// The asset has nothing to play yet.
    #[error("asset {0} is not ready: it has no processed file yet")]
    NotReady(String),
    /// The asset's files are there no more, or are nothing that plays.
    #[error("asset {id} is not ready: {reason}")]
    Broken {
        /** The asset. */
        id: String,
        /** Why, as a viewer may hear it. */
        reason: String,
    },
    /// The asset has no file to save.
    #[error("asset {0} has no original to download")]
    NoOriginal(String),
    /// The path is no playlist's.
    #[error("the path is not that of a playlist")]
    NotAPlaylistPath,
    /// A path leaves its prefix, or tries to.
    #[error("the path {0}")]
    Path(UriError),
    /// A URI of a playlist leaves its asset's prefix, or tries to.
    #[error("library {library}: {key} line {line}: the uri {reason}")]
    Uri {
        /** The library. */
        library: String,
        /** The playlist's key. */
        key: String,
        /** From 1. */
        line: usize,
        /** Why. */
        reason: UriError,
    },
    /// The object is no playlist that we can use.
    #[error("library {library}: {key}: {reason}")]
    Playlist {
        /** The library. */
        library: String,
        /** The key. */
        key: String,
        /** Why. */
        reason: hls::playlist::Error,
    },
    /// No library has this path below a token's prefix.
    #[error("there is no playlist {0:?} below the token's prefix")]
    NoPlaylist(String),
    /// The object is longer than what is read at once.
    #[error("library {library}: {key} is longer than {max} bytes")]
    TooLong {
        /** The library. */
        library: String,
        /** The key. */
        key: String,
        /** Bytes. */
        max: u64,
    },
    /// There is no such object.
    #[error("library {library}: there is no {key}")]
    Missing {
        /** The library. */
        library: String,
        /** The key. */
        key: String,
    },
    /// The store refuses our signature.
    #[error(
        "library {library}: the store refuses to give {key} (status {status}, clocks {skew_s} s apart)"
    )]
    Refused {
        /** The library. */
        library: String,
        /** The key. */
        key: String,
        /** What it answered. */
        status: u16,
        /** How far the store's clock is ahead of ours. */
        skew_s: i64,
    },
    /// The store does not do what it should.
    #[error("library {library}: {key}: {reason}")]
    Unwell {
        /** The library. */
        library: String,
        /** The key. */
        key: String,
        /** What it did. */
        reason: String,
        /** Whether trying again may help. */
        passing: bool,
    },
    /// A value that an asset cannot have.
    #[error("{what} {reason}")]
    Invalid {
        /** Which. */
        what: &'static str,
        /** Why. */
        reason: &'static str,
    },
    /// Another asset has it.
    #[error("asset {id} has this {what} already")]
    Taken {
        /** Slug or place. */
        what: &'static str,
        /** The other asset. */
        id: String,
    },
    /// This library is being scanned.
    #[error("library {0:?} is being scanned already")]
    Scanning(String),
    /// The store of our own state.
    #[error(transparent)]
    Store(Arc<store::Error>),
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAsset(_) | Self::NoLibrary(_) | Self::NoPlaylist(_) | Self::Missing { .. } => {
                ErrorKind::NotFound
            }
            Self::NotReady(_)
            | Self::Broken { .. }
            | Self::NoOriginal(_)
            | Self::Taken { .. }
            | Self::Scanning(_) => ErrorKind::Conflict,
            Self::NotAPlaylistPath | Self::Path(_) | Self::Invalid { .. } => ErrorKind::Invalid,
            // An upstream's 403 is our trouble, not the viewer's: players do not come back from 403.
            Self::Uri { .. }
            | Self::Playlist { .. }
            | Self::TooLong { .. }
            | Self::Refused { .. } => ErrorKind::Corrupt,
            Self::Unwell { passing, .. } => {
                if *passing {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Corrupt
                }
            }
            Self::Store(error) => error.kind(),
        }
    }

    /// What a viewer may hear.
    pub fn told(&self) -> String {
        match self {
            Self::Missing { .. } => "there is no such file".to_owned(),
            Self::Uri { reason, line, .. } => {
                format!("the playlist is not safe to serve: line {line}: the uri {reason}")
            }
            Self::Playlist { reason, .. } => {
                format!("the file is no usable playlist: {}", told_of(reason))
            }
            Self::TooLong { key, max, .. } => {
                let file = if is_playlist(key) { "playlist" } else { "file" };
                format!("the {file} is longer than {} MiB", max >> 20)
            }
            Self::Refused { .. } => "the library's store refuses the gateway".to_owned(),
            Self::Unwell { .. } => "the library's store is unwell".to_owned(),
            Self::Store(_) => "the gateway's state cannot be read or written".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether the object itself is at fault, so that it stays so until somebody puts another there.
    pub(crate) const fn is_of_the_object(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Playlist { .. }
                | Self::Uri { .. }
                | Self::Path(_)
                | Self::TooLong { .. }
        )
    }

    /// A stable word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAsset(_) => "unknown_asset",
            Self::NoLibrary(_) => "unknown_library",
            Self::NotReady(_) | Self::Broken { .. } => "not_ready",
            Self::NoOriginal(_) => "no_original",
            Self::NotAPlaylistPath => "not_a_playlist",
            Self::Path(_) => "bad_path",
            Self::Uri { .. } => "unsafe_playlist",
            Self::Playlist { .. } => "bad_playlist",
            Self::Missing { .. } | Self::NoPlaylist(_) => "no_file",
            Self::TooLong { .. } => "too_long",
            Self::Refused { .. } => "store_refused",
            Self::Unwell { .. } => "store_unwell",
            Self::Invalid { .. } => "invalid",
            Self::Taken { .. } => "taken",
            Self::Scanning(_) => "scanning",
            Self::Store(_) => "store",
        }
    }
}

/// What is wrong with a playlist, without a byte of it: whoever can put an object there, or a store that
/// answers for it, would speak to our viewers.
fn told_of(reason: &hls::playlist::Error) -> String {
    use hls::playlist::Error as Reason;
    match reason {
        Reason::NotAPlaylist { .. } => "it does not begin with #EXTM3U".to_owned(),
        Reason::UndefinedVariable { line, .. } => format!("line {line}: a variable is not defined"),
        Reason::RedefinedVariable { line, .. } => {
            format!("line {line}: a variable is defined twice")
        }
        Reason::ForeignSegments { .. } => "its segments are on another kind of server".to_owned(),
        // Numbers, and names of tags that are ours.
        other => other.to_string(),
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}
