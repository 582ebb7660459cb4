//! Files out of the volumes of a set.

use super::{Entry, Version, Volume};
use crate::archive::{BLOCK_BYTES, Certainty, Error, Extent, Member, Method};

/// Files of one set.
const MEMBERS_MAX: usize = 20_000;

/// One volume of a set, in the set's order, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The headers read so far, `None` if none were.
    pub volume: Option<&'a Volume>,
    /// The volume's length in bytes, if it is known exactly.
    pub size: Option<u64>,
}

/// What a set holds, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Its files, in order. Of the last one the end may be missing: see [`Member::is_mapped`].
    pub files: Vec<Member>,
    /// The first volume whose headers have to be read to know more; `None` when all is known that
    /// the volumes can tell. Extents inferred beyond it are [`Certainty::Provisional`].
    pub unread: Option<usize>,
}

/// Joins the volumes of a set, first to last. A file that begins in a volume that was read is mapped
/// over volumes that were not: in between each holds as much of it as the volumes that were read,
/// and the last one the rest.
///
/// An error means that these volumes do not follow each other.
pub fn members(sources: &[Source<'_>]) -> Result<Members, Error> {
    let mut join = Join {
        files: Vec::new(),
        open: None,
        template: None,
    };
    let mut unread = None;
    for (index, source) in sources.iter().enumerate() {
        match source.volume.filter(|volume| is_read(volume)) {
            Some(volume) => join.read(index, volume)?,
            None => {
                unread = unread.or(Some(index));
                if !join.infer(index, source.size) {
                    break;
                }
            }
        }
        let is_whole = source.volume.is_some_and(|volume| volume.is_done);
        if !is_whole && join.open.is_none() {
            unread = unread.or(Some(index));
        }
    }
    if let Some(open) = join.open.take() {
        // Either not all volumes were read, or the set ends within a file; its map says so.
        join.files.push(open.member);
    }
    if let Some(last) = join.files.last_mut() {
        take_back(last, sources);
    }
    Ok(Members {
        files: join.files,
        unread,
    })
}

/// Drops what was inferred of a file's end if a volume that was read has the file go on behind it.
fn take_back(member: &mut Member, sources: &[Source<'_>]) {
    let inferred_at = |member: &Member| member.extents.iter().position(is_inferred);
    let (Some(at), Some(last)) = (inferred_at(member), member.extents.last()) else {
        return;
    };
    let goes_on = |source: &Source<'_>| {
        let entries = source.volume.map_or(&[][..], |volume| &volume.entries);
        entries
            .first()
            .is_some_and(|entry| entry.is_continued && entry.name == member.name)
    };
    if sources[last.volume + 1..].iter().any(goes_on) {
        member.extents.truncate(at);
    }
}

fn is_inferred(extent: &Extent) -> bool {
    extent.certainty == Certainty::Provisional
}

/// Whether the volume says anything of files yet.
fn is_read(volume: &Volume) -> bool {
    !volume.entries.is_empty() || volume.is_done
}

struct Open {
    member: Member,
    version: Version,
    /// Whether it may still grow: an archiver that wrote to a pipe did not know its length.
    is_sized: bool,
}

/// A volume that holds nothing but the middle of a file.
#[derive(Clone, Copy)]
struct Template {
    index: usize,
    offset: u64,
    len: u64,
    number: Option<u64>,
    /// Of its main header, if headers are encrypted.
    padding: Option<u64>,
}

struct Join {
    files: Vec<Member>,
    open: Option<Open>,
    template: Option<Template>,
}

impl Join {
    fn read(&mut self, index: usize, volume: &Volume) -> Result<(), Error> {
        let version = volume.version.unwrap_or(Version::V5);
        for (at, entry) in volume.entries.iter().enumerate() {
            if !entry.is_file {
                continue;
            }
            let extent = Extent {
                volume: index,
                offset: entry.offset,
                len: entry.len,
                certainty: Certainty::Exact,
            };
            match (self.open.take(), entry.is_continued) {
                (None, false) => self.begin(entry, version, extent)?,
                (Some(open), true) if open.member.name == entry.name => {
                    self.go_on(open, entry, extent)?;
                }
                // Its beginning was not among the volumes: it cannot be played, the rest can.
                (None, true) if self.files.is_empty() => {}
                _ => return Err(broken(version, "volume that does not follow", entry.offset)),
            }
            if at == 0 && entry.is_continued && entry.continues {
                self.template = Some(Template {
                    index,
                    offset: entry.offset,
                    len: entry.len,
                    number: volume.number(),
                    padding: volume.main.padding,
                });
            }
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry, version: Version, extent: Extent) -> Result<(), Error> {
        if self.files.len() == MEMBERS_MAX {
            return Err(Error::TooLarge {
                format: version.name(),
                what: "files in a set",
                limit: MEMBERS_MAX as u64,
            });
        }
        let member = Member {
            name: entry.name.clone(),
            size: entry.size.unwrap_or(0),
            method: entry.method,
            seal: entry.seal.clone(),
            skip: 0,
            extents: Vec::new(),
            crc: None,
        };
        let open = Open {
            member,
            version,
            is_sized: entry.size.is_some(),
        };
        self.go_on(open, entry, extent)
    }

    /// Adds a piece that was read, and closes the file if it is the last one.
    fn go_on(&mut self, mut open: Open, entry: &Entry, extent: Extent) -> Result<(), Error> {
        open.member.extents.push(extent);
        if entry.continues {
            self.open = Some(open);
            return Ok(());
        }
        let Open {
            mut member,
            version,
            is_sized,
        } = open;
        member.crc = entry.crc;
        if !is_sized {
            member.size = entry.size.unwrap_or(0);
        }
        let is_stored = member.method == Method::Stored;
        if is_stored && !member.is_mapped() {
            if let Some(at) = member.extents.iter().position(is_inferred) {
                // What was inferred is wrong: it takes the headers in between.
                member.extents.truncate(at);
                self.files.push(member);
                return Ok(());
            }
            return Err(broken(
                version,
                "pieces that do not add up to the file",
                entry.offset,
            ));
        }
        self.files.push(member);
        Ok(())
    }

    /// Infers what a volume that was not read holds; `false` if nothing can be said of it.
    fn infer(&mut self, index: usize, size: Option<u64>) -> bool {
        let Some(template) = self.template else {
            return false;
        };
        let Some(mut open) = self.open.take() else {
            return false;
        };
        let missing = open
            .member
            .stored_size()
            .unwrap_or(0)
            .saturating_sub(open.member.covered());
        let can_infer = open.is_sized && open.member.method == Method::Stored;
        if !can_infer || missing == 0 {
            self.open = Some(open);
            return false;
        }
        let growth = template.growth(index, open.version);
        let offset = template.offset.saturating_add(growth);
        let len = template.len.saturating_sub(growth);
        let extent = Extent {
            volume: index,
            offset,
            len: len.min(missing),
            certainty: Certainty::Provisional,
        };
        let fits = size.is_none_or(|size| offset.saturating_add(extent.len) <= size);
        if len == 0 || !fits {
            self.open = Some(open);
            return false;
        }
        open.member.extents.push(extent);
        if extent.len == missing {
            self.files.push(open.member);
            // What else that volume holds only its headers can tell.
            return false;
        }
        self.open = Some(open);
        true
    }
}

impl Template {
    /// Bytes that the headers of volume `index` are longer than the template's: RAR5 writes the
    /// volume's number into one, in one byte up to 127 and in two from there on. Encrypted headers
    /// are whole blocks: the byte goes into their padding, or takes a block.
    fn growth(&self, index: usize, version: Version) -> u64 {
        let Some(number) = self.number.filter(|_| version == Version::V5) else {
            return 0;
        };
        let bytes = |number: u64| u64::from(64 - (number | 1).leading_zeros()).div_ceil(7);
        let other = number
            .saturating_add(index as u64)
            .saturating_sub(self.index as u64);
        let growth = bytes(other).saturating_sub(bytes(number));
        match self.padding {
            None => growth,
            Some(padding) => growth.saturating_sub(padding).next_multiple_of(BLOCK_BYTES),
        }
    }
}

fn broken(version: Version, what: &'static str, at: u64) -> Error {
    Error::Corrupt {
        format: version.name(),
        what,
        at,
    }
}

#[cfg(test)]
mod tests;
