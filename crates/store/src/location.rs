//! Where a store lies: the names of its places, and its directory with the lock on it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base::redact_url;
use url::Url;

use crate::Error;

/// Where a store lies. Prints without user, password and options.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine; the database is `perennial.db` in it. Created when missing.
    Directory(PathBuf),
    /// `postgres://user:password@host:port/database`, with libpq's options (`sslmode`, `sslrootcert`,
    /// `host` for a socket) as its query. The database must exist.
    Postgres(Url),
    /// Nowhere: it ends with the process.
    Memory,
}

const DATABASE: &str = "perennial.db";
/// A file of its own: SQLite keeps its locks on the database file, and loses them when anyone in the
/// same process closes that file.
const LOCK: &str = "perennial.lock";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.join(DATABASE).display()),
            Self::Postgres(url) => f.write_str(&redact_url(url)),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Makes the directory if it is missing and locks it. The inner error is the process id of its owner,
/// as far as it is known.
pub(crate) fn lock(directory: &Path) -> Result<Result<File, Option<u32>>, Error> {
    create_private_directory(directory)?;
    let path = directory.join(LOCK);
    let mut file = private(OpenOptions::new().read(true).write(true).create(true))
        .truncate(false)
        .open(&path)
        .map_err(|source| file_error("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only for the message; an owner that has not yet written its id goes without.
            let _ = file.take(20).read_to_string(&mut pid);
            return Ok(Err(pid.trim().parse().ok()));
        }
        Err(TryLockError::Error(source)) => return Err(file_error("lock", &path, source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|source| file_error("write", &path, source))?;
    Ok(Ok(file))
}

/// Makes the database file, if it is missing, so that only this user can read it: SQLite gives its
/// log the same mode. Returns SQLite's URL of it.
pub(crate) fn sqlite_url(directory: &Path) -> Result<String, Error> {
    let path = directory.join(DATABASE);
    match private(OpenOptions::new().write(true).create_new(true)).open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(file_error("create", &path, source)),
    }
    // A URL's parser would resolve `..` by the letter, where the file system follows symbolic links.
    let path = path
        .canonicalize()
        .map_err(|source| file_error("resolve", &path, source))?;
    let url = Url::from_file_path(&path).map_err(|()| Error::Invalid {
        what: "the data directory",
        reason: "has no absolute path",
    })?;
    Ok(format!("sqlite://{}", url.path()))
}

fn create_private_directory(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(Error::NotADirectory { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::NotADirectory { path: path.into() });
        }
        Err(source) => return Err(file_error("read", path, source)),
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .recursive(true)
        .create(path)
        .map_err(|source| file_error("create", path, source))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn file_error(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        doing,
        path: path.into(),
        source,
    }
}
