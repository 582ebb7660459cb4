//! A directory as a library. What lies outside of it, and what a symbolic link leads to there, does not
//! exist.

use std::io;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use base::ByteRange;
use bytes::Bytes;
use futures_util::Stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::Error;
use crate::library::{Listed, Meta};

/// A directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    library: String,
    path: PathBuf,
}

/// Files that one scan looks at.
const FILES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 32;
const CHUNK: usize = 128 * 1024;

impl Directory {
    pub(crate) fn new(library: &str, path: PathBuf) -> Self {
        Self {
            library: library.to_owned(),
            path,
        }
    }

    pub(crate) async fn get(&self, key: &str, max: u64) -> Result<(Meta, Bytes), Error> {
        let (file, meta) = self.open(key).await?;
        if meta.length > max {
            return Err(Error::TooLong {
                library: self.library.clone(),
                key: key.to_owned(),
                max,
            });
        }
        let mut body = Vec::new();
        file.take(max)
            .read_to_end(&mut body)
            .await
            .map_err(|error| self.failed(key, &error))?;
        Ok((meta, body.into()))
    }

    /// A part of a file, read as it is asked for.
    pub(crate) async fn read(
        &self,
        key: &str,
        range: ByteRange,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let (mut file, _) = self.open(key).await?;
        file.seek(io::SeekFrom::Start(range.start))
            .await
            .map_err(|error| self.failed(key, &error))?;
        let (directory, key) = (self.clone(), key.to_owned());
        let state = (file, range.len());
        Ok(futures_util::stream::try_unfold(
            state,
            move |(mut file, left)| {
                let (directory, key) = (directory.clone(), key.clone());
                async move {
                    if left == 0 {
                        return Ok(None);
                    }
                    let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                    let mut chunk = vec![0; want];
                    let read = file.read(&mut chunk).await;
                    let read = read.map_err(|error| directory.failed(&key, &error))?;
                    if read == 0 {
                        return Err(directory.unwell(&key, "became shorter".to_owned(), true));
                    }
                    chunk.truncate(read);
                    Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
                }
            },
        ))
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Meta, Error> {
        Ok(self.open(key).await?.1)
    }

    /// All files below `prefix`.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let (directory, prefix) = (self.clone(), prefix.to_owned());
        let walked = tokio::task::spawn_blocking(move || directory.walk(&prefix)).await;
        walked.unwrap_or_else(|error| Err(self.unwell("", error.to_string(), true)))
    }

    fn walk(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        std::fs::read_dir(&self.path).map_err(|error| self.away(&error))?;
        let mut found = Vec::new();
        let start = if prefix.is_empty() {
            self.path.clone()
        } else {
            self.path.join(prefix)
        };
        let mut open = vec![(start, prefix.trim_end_matches('/').to_owned(), 0)];
        while let Some((folder, key, depth)) = open.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound && depth == 0 => {
                    return Ok(found);
                }
                Err(error) => return Err(self.failed(&key, &error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| self.failed(&key, &error))?;
                // A name that is no UTF-8 is no key.
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let key = if key.is_empty() {
                    name
                } else {
                    format!("{key}/{name}")
                };
                let kind = entry
                    .file_type()
                    .map_err(|error| self.failed(&key, &error))?;
                if kind.is_dir() && depth < DEPTH_MAX {
                    open.push((entry.path(), key, depth + 1));
                } else if kind.is_file() {
                    if found.len() == FILES_MAX {
                        let reason = format!("more than {FILES_MAX} files");
                        return Err(self.unwell("", reason, false));
                    }
                    let length = entry.metadata().map_or(0, |meta| meta.len());
                    found.push(Listed { key, length });
                }
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    async fn open(&self, key: &str) -> Result<(File, Meta), Error> {
        let path = self.inside(key).await?;
        // Looked at before it is opened: opening a pipe waits for who writes into it.
        let kind = tokio::fs::metadata(&path).await;
        if !kind.map_err(|error| self.failed(key, &error))?.is_file() {
            return Err(self.missing(key));
        }
        let file = File::open(&path).await;
        let file = file.map_err(|error| self.failed(key, &error))?;
        let meta = file.metadata().await;
        let meta = meta.map_err(|error| self.failed(key, &error))?;
        if !meta.is_file() {
            return Err(self.missing(key));
        }
        let changed = meta.modified().ok();
        let changed = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default().as_nanos();
        let etag = format!("\"{:x}-{changed:x}\"", meta.len());
        Ok((
            file,
            Meta {
                length: meta.len(),
                etag,
            },
        ))
    }

    /// The file that a key leads to, if that lies in the directory.
    async fn inside(&self, key: &str) -> Result<PathBuf, Error> {
        let root = tokio::fs::canonicalize(&self.path).await;
        let root = root.map_err(|error| self.away(&error))?;
        let path = tokio::fs::canonicalize(self.path.join(key)).await;
        let path = path.map_err(|error| self.failed(key, &error))?;
        if path.starts_with(&root) {
            Ok(path)
        } else {
            Err(self.missing(key))
        }
    }

    /// A disk that is not mounted says nothing of the files on it.
    fn away(&self, error: &io::Error) -> Error {
        self.unwell("the directory itself", error.to_string(), true)
    }

    fn missing(&self, key: &str) -> Error {
        Error::Missing {
            library: self.library.clone(),
            key: key.to_owned(),
        }
    }

    fn failed(&self, key: &str, error: &io::Error) -> Error {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename => {
                self.missing(key)
            }
            _ => self.unwell(key, error.to_string(), true),
        }
    }

    fn unwell(&self, key: &str, reason: String, passing: bool) -> Error {
        Error::Unwell {
            library: self.library.clone(),
            key: key.to_owned(),
            reason,
            passing,
        }
    }
}
