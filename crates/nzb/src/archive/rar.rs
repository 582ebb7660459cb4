//! RAR volumes, walked header by header: version 5 and later by RARLAB's technical note, version
//! 1.5 to 4 by what `rar` writes.
//!
//! [`Volume`] reads one volume; [`members`] joins what several volumes say into files, and infers
//! where the bytes lie in volumes that have not been looked at.

mod set;
mod unicode;
mod v4;
mod v5;

pub use set::{Members, Source, members};

use super::bytes::{Halt, take};
use super::{Bytes, Error, Keys, Kind, Method, Seal, Step};

/// Headers of a volume. Thousands of small files in one archive are no film.
const HEADERS_MAX: u32 = 20_000;
/// Bytes of a header. The format allows 2 MiB; a file's header with the longest path has some 5 KiB.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RAR 1.5 to 4.
    V4,
    /// RAR 5 and later.
    V5,
}

impl Version {
    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "rar4",
            Self::V5 => "rar5",
        }
    }
}

/// What a volume says of one file, or of one file's piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path, with `/` between components.
    pub name: String,
    /// Whether it is a file with bytes of its own: no directory, no link.
    pub is_file: bool,
    /// Length of the whole file, `None` if the archiver did not know it.
    pub size: Option<u64>,
    /// How the file was packed.
    pub method: Method,
    /// How it is encrypted.
    pub seal: Seal,
    /// Where its bytes begin in this volume.
    pub offset: u64,
    /// How many are in this volume.
    pub len: u64,
    /// It began in the volume before.
    pub is_continued: bool,
    /// It goes on in the next volume.
    pub continues: bool,
    /// CRC-32 of the file, in the volume where it ends.
    pub crc: Option<u32>,
}

/// What the main header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Main {
    is_volume: bool,
    is_first: Option<bool>,
    number: Option<u64>,
    /// RAR4: the headers behind this one are encrypted.
    seals_the_rest: bool,
    /// RAR5 with encrypted headers: bytes of padding, by which this one may grow for nothing.
    padding: Option<u64>,
}

/// How the rest of the headers is encrypted.
#[derive(Clone, Debug)]
enum HeaderSeal {
    None,
    /// Each header has a salt of its own.
    V4,
    /// Each header has a vector of its own.
    V5([u8; 32]),
}

/// One header, whichever version.
#[derive(Debug)]
struct Header {
    /// Where the next header begins.
    next: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Main(Main),
    Entry(Entry),
    Seal(HeaderSeal),
    End {
        continues: bool,
        number: Option<u64>,
    },
    Other,
}

/// One volume, as far as it has been read.
#[derive(Clone, Debug)]
pub struct Volume {
    version: Option<Version>,
    at: u64,
    headers: u32,
    seal: HeaderSeal,
    main: Main,
    entries: Vec<Entry>,
    end: Option<bool>,
    is_done: bool,
}

impl Default for Volume {
    fn default() -> Self {
        Self::new()
    }
}

impl Volume {
    /// A volume of which nothing is known.
    pub fn new() -> Self {
        Self {
            version: None,
            at: 0,
            headers: 0,
            seal: HeaderSeal::None,
            main: Main::default(),
            entries: Vec::new(),
            end: None,
            is_done: false,
        }
    }

    /// Reads on as far as `bytes` go. What is known grows with every call; it need not be walked to
    /// the end for [`entries`](Self::entries) to be of use.
    pub fn advance(
        &mut self,
        bytes: &(impl Bytes + ?Sized),
        keys: &mut Keys,
    ) -> Result<Step, Error> {
        Halt::step(self.walk(bytes, keys))
    }

    fn walk(&mut self, bytes: &(impl Bytes + ?Sized), keys: &mut Keys) -> Result<(), Halt> {
        let version = match self.version {
            Some(version) => version,
            None => self.start(bytes)?,
        };
        while !self.is_done {
            // Old volumes have no end header; theirs is the end of the file.
            if bytes.len() == Some(self.at) {
                self.is_done = true;
                break;
            }
            let header = match version {
                Version::V4 => v4::header(bytes, self.at, &self.seal, keys)?,
                Version::V5 => v5::header(bytes, self.at, &self.seal, keys)?,
            };
            self.apply(header, version, bytes.len())?;
        }
        Ok(())
    }

    fn start(&mut self, bytes: &(impl Bytes + ?Sized)) -> Result<Version, Halt> {
        let front = take(bytes, "rar", 0, 8)?;
        let (version, at) = match Kind::of(&front) {
            Some(Kind::Rar5) => (Version::V5, 8),
            Some(Kind::Rar4) => (Version::V4, 7),
            _ => {
                return Err(Error::Corrupt {
                    format: "rar",
                    what: "no signature",
                    at: 0,
                }
                .into());
            }
        };
        (self.version, self.at) = (Some(version), at);
        Ok(version)
    }

    fn apply(
        &mut self,
        header: Header,
        version: Version,
        length: Option<u64>,
    ) -> Result<(), Error> {
        let format = version.name();
        let corrupt = |what| Error::Corrupt {
            format,
            what,
            at: self.at,
        };
        if self.headers == HEADERS_MAX {
            return Err(Error::TooLarge {
                format,
                what: "headers in a volume",
                limit: u64::from(HEADERS_MAX),
            });
        }
        if header.next <= self.at {
            return Err(corrupt("header that leads nowhere"));
        }
        if length.is_some_and(|length| header.next > length) {
            return Err(corrupt("data reaches behind the end"));
        }
        self.headers += 1;
        self.at = header.next;
        match header.content {
            Content::Main(main) => {
                self.main = main;
                if main.seals_the_rest {
                    self.seal = HeaderSeal::V4;
                }
            }
            Content::Seal(seal) => self.seal = seal,
            Content::Entry(entry) => self.entries.push(entry),
            Content::End { continues, number } => {
                self.main.number = self.main.number.or(number);
                self.end = Some(continues);
                self.is_done = true;
            }
            Content::Other => {}
        }
        Ok(())
    }

    /// Which format it is in, once its first bytes were read.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The files and pieces of files seen so far, in the volume's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether it is part of a set.
    pub fn is_volume(&self) -> bool {
        self.main.is_volume
    }

    /// Its number in the set, from 0. RAR4 has it in the end header only, and not always.
    pub fn number(&self) -> Option<u64> {
        match (self.version, self.main.is_first) {
            (_, Some(true)) => Some(0),
            _ => self.main.number,
        }
    }

    /// Whether another volume follows, once the end header was read.
    pub fn continues(&self) -> Option<bool> {
        self.end
    }
}

#[cfg(test)]
mod tests;
