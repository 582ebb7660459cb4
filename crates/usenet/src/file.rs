//! Files of a mount, and which of them is asked for.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::{Failure, Mount, Reader};

/// A file that can be read.
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) mount: Arc<Mount>,
    pub(crate) index: usize,
    pub(crate) info: FileInfo,
}

/// What is known of a file of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Path below the mount: clean components with `/` between them, unique in the mount.
    pub path: String,
    /// Exact length in bytes.
    pub size: u64,
    /// What it is for.
    pub role: Role,
    /// Media type.
    pub media_type: &'static str,
    /// Which episodes its name says it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<Episode>,
    /// Why it cannot be read, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What a file of a mount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Something to watch or hear.
    Media,
    /// A short piece of it.
    Sample,
    /// Subtitles.
    Subtitle,
    /// Anything else: notes, pictures, checksums.
    Other,
}

/// A season and an episode, or the episodes of a file that holds several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Episode {
    /// From 0, which is specials.
    pub season: u32,
    /// The first.
    pub first: u32,
    /// The last; `first` mostly.
    pub last: u32,
}

/// Which files are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// This episode; `None` for everything that can be played, largest first.
    pub episode: Option<(u32, u32)>,
}

impl FileInfo {
    /// The last component of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl File {
    /// What is known of it.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// The mount that it belongs to.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Exact length in bytes.
    pub fn size(&self) -> u64 {
        self.info.size
    }

    /// A strong entity tag, with its quotes: of the post, the file and the holes that were filled, so
    /// that it changes whenever a byte does.
    pub fn etag(&self) -> String {
        self.mount.etag(self.index, &self.info)
    }

    /// The bytes of `range`, which is cut to the file. Nothing is asked for before the reader is polled.
    pub fn read(&self, range: Range<u64>) -> Reader {
        Reader::new(self, range)
    }
}
