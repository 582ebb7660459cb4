//! A library: a bucket or a directory, behind one face.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{ByteRange, Clock};
use bytes::Bytes;
use fetch::Client;
use futures_util::Stream;

use crate::Error;
use crate::dir::Directory;
use crate::s3::Bucket;
use crate::spec::{LibrarySpec, Segments, Where};

/// A library.
#[derive(Debug)]
pub struct Library {
    /// As it is configured.
    pub spec: LibrarySpec,
    store: Store,
    serial: u64,
}

#[derive(Debug)]
enum Store {
    S3(Box<Bucket>),
    Dir(Directory),
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes.
    pub length: u64,
    /// With its quotes; changes with the bytes.
    pub etag: String,
}

static SERIALS: AtomicU64 = AtomicU64::new(0);

/// Bytes on their way.
pub type Object = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub length: u64,
}

impl Library {
    /// A library; nothing is asked of it yet.
    ///
    /// # Errors
    /// The specification makes no URL.
    pub fn new(spec: LibrarySpec, client: Client, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let store = match &spec.place {
            Where::S3(s3) => Store::S3(Box::new(Bucket::new(&spec.id, s3, client, clock)?)),
            Where::Dir(path) => Store::Dir(Directory::new(&spec.id, path.clone())),
        };
        Ok(Self {
            spec,
            store,
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// What keeps a directory from being a library, if anything does.
    pub fn fault(&self) -> Option<String> {
        let Where::Dir(path) = &self.spec.place else {
            return None;
        };
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => None,
            Ok(_) => Some(format!("{shown} is no directory")),
            Err(error) => Some(format!("{shown} cannot be read: {error}")),
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// Tells it from all others, also from one that had its id before a reload: what is cached of one is
    /// never taken for the other's.
    pub(crate) const fn serial(&self) -> u64 {
        self.serial
    }

    /// How segments reach viewers.
    pub fn segments(&self) -> Segments {
        match self.store {
            Store::S3(_) => self.spec.segments,
            Store::Dir(_) => Segments::Tunnel,
        }
    }

    /// The bucket, if it is one.
    pub fn bucket(&self) -> Option<&Bucket> {
        match &self.store {
            Store::S3(bucket) => Some(bucket),
            Store::Dir(_) => None,
        }
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        match &self.store {
            Store::S3(_) => None,
            Store::Dir(directory) => Some(directory),
        }
    }

    /// A whole object of at most `max` bytes.
    ///
    /// # Errors
    /// It is absent or longer, or the store is unwell.
    pub async fn get(&self, key: &str, max: u64) -> Result<(Meta, Bytes), Error> {
        match &self.store {
            Store::S3(bucket) => bucket.get(key, max).await,
            Store::Dir(directory) => directory.get(key, max).await,
        }
    }

    /// What an object is, without its bytes.
    ///
    /// # Errors
    /// It is absent, or the store is unwell.
    pub async fn head(&self, key: &str) -> Result<Meta, Error> {
        match &self.store {
            Store::S3(bucket) => bucket.head(key).await,
            Store::Dir(directory) => directory.head(key).await,
        }
    }

    /// A page of what lies below `prefix`, and what the next page begins with.
    ///
    /// # Errors
    /// The store is unwell.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>), Error> {
        match &self.store {
            Store::S3(bucket) => bucket.list(prefix, after).await,
            Store::Dir(directory) => Ok((directory.list(prefix).await?, None)),
        }
    }
}

impl Meta {
    pub(crate) fn of(head: &fetch::Head, length: u64) -> Self {
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        // S3 always has an ETag; for a store that has none, its length and date stand in.
        let etag = text(http::header::ETAG).map_or_else(
            || {
                let changed = text(http::header::LAST_MODIFIED).unwrap_or_default();
                let word: String = changed
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .collect();
                format!("\"{length:x}-{word}\"")
            },
            str::to_owned,
        );
        Self { length, etag }
    }

    /// All of it.
    pub fn whole(&self) -> Option<ByteRange> {
        (self.length > 0).then_some(ByteRange {
            start: 0,
            end: self.length,
        })
    }
}
