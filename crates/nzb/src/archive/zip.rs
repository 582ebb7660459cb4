//! ZIP archives (PKWARE's APPNOTE 6.3): where stored files lie, by the directory at the end. Volumes
//! named `.001` are pieces of one file, and read as if they were one. Encrypted files are told as
//! such; no password opens them.

use super::bytes::{Fields, Halt, Short, take};
use super::{Bytes, Certainty, Error, Extent, Member, Method, Seal, Step};

const FORMAT: &str = "zip";

/// Files of an archive.
const FILES_MAX: u64 = 20_000;
/// Bytes of the directory.
const DIRECTORY_BYTES_MAX: u64 = 16 << 20;

/// Bytes of the record at the very end, without its comment.
const END_BYTES: usize = 22;
/// Bytes of the pointer before it to its larger form.
const LOCATOR_BYTES: u64 = 20;
const END64_BYTES: usize = 56;
/// Bytes before a file's name and extra field.
const LOCAL_BYTES: usize = 30;

/// The archive's files with content, in the directory's order. Extents are in the archive as a whole:
/// their volume is 0. The archive's length must be known.
pub fn members(bytes: &(impl Bytes + ?Sized)) -> Result<Step<Vec<Member>>, Error> {
    Halt::step(read(bytes))
}

fn read(bytes: &(impl Bytes + ?Sized)) -> Result<Vec<Member>, Halt> {
    let directory = find_directory(bytes)?;
    let limit = |what, limit| Error::TooLarge {
        format: FORMAT,
        what,
        limit,
    };
    if directory.files > FILES_MAX {
        return Err(limit("files", FILES_MAX).into());
    }
    let len = usize::try_from(directory.len)
        .ok()
        .filter(|_| directory.len <= DIRECTORY_BYTES_MAX)
        .ok_or_else(|| limit("bytes of the directory", DIRECTORY_BYTES_MAX))?;
    let records = take(bytes, FORMAT, directory.offset, len)?;
    let mut fields = Fields::new(&records);
    let mut members = Vec::new();
    for _ in 0..directory.files {
        let record = Record::read(&mut fields)
            .map_err(|Short| corrupt("directory shorter than its fields", directory.offset))?;
        if record.name.ends_with('/') || record.size == 0 {
            continue;
        }
        members.push(member(bytes, record)?);
    }
    Ok(members)
}

struct Directory {
    offset: u64,
    len: u64,
    files: u64,
}

fn find_directory(bytes: &(impl Bytes + ?Sized)) -> Result<Directory, Halt> {
    let length = bytes
        .len()
        .ok_or_else(|| corrupt("length is not known", 0))?;
    // Mostly there is no comment, and the record is the end.
    for comment_max in [0, usize::from(u16::MAX)] {
        let tail_len = (END_BYTES + comment_max).min(usize::try_from(length).unwrap_or(usize::MAX));
        let tail_at = length - tail_len as u64;
        let tail = take(bytes, FORMAT, tail_at, tail_len)?;
        let end = memchr::memmem::rfind_iter(&tail, b"PK\x05\x06")
            .find_map(|at| Some((at, end_record(&tail[at..]).ok()?)));
        if let Some((at, directory)) = end {
            let is_small = directory.offset != u64::from(u32::MAX)
                && directory.len != u64::from(u32::MAX)
                && directory.files != u64::from(u16::MAX);
            return if is_small {
                Ok(directory)
            } else {
                find_directory64(bytes, tail_at + at as u64)
            };
        }
    }
    Err(corrupt("no directory at the end", length).into())
}

fn end_record(record: &[u8]) -> Result<Directory, Short> {
    let mut fields = Fields::new(record);
    let _signature = fields.u32()?;
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (here, files) = (fields.u16()?, fields.u16()?);
    let (len, offset) = (fields.u32()?, fields.u32()?);
    let comment = fields.u16()?;
    if usize::from(comment) != fields.rest().len() || disk != directory_disk || here != files {
        return Err(Short);
    }
    Ok(Directory {
        offset: offset.into(),
        len: len.into(),
        files: files.into(),
    })
}

/// The larger form, for archives of more than 4 GiB or 65,534 files.
fn find_directory64(bytes: &(impl Bytes + ?Sized), end_at: u64) -> Result<Directory, Halt> {
    let missing = || corrupt("no ZIP64 directory", end_at);
    let locator_at = end_at.checked_sub(LOCATOR_BYTES).ok_or_else(missing)?;
    let locator = take(bytes, FORMAT, locator_at, LOCATOR_BYTES as usize)?;
    let mut fields = Fields::new(&locator);
    let mut parse = || -> Result<_, Short> { Ok((fields.u32()?, fields.u32()?, fields.u64()?)) };
    let (0x0706_4b50, _disk, at) = parse().map_err(|Short| missing())? else {
        return Err(missing().into());
    };
    let record = take(bytes, FORMAT, at, END64_BYTES)?;
    let mut fields = Fields::new(&record);
    let mut parse = || -> Result<_, Short> {
        let signature = fields.u32()?;
        fields.bytes(28)?;
        let (files, len, offset) = (fields.u64()?, fields.u64()?, fields.u64()?);
        Ok((signature, Directory { offset, len, files }))
    };
    match parse().map_err(|Short| missing())? {
        (0x0606_4b50, directory) => Ok(directory),
        _ => Err(missing().into()),
    }
}

/// A file's record in the directory.
struct Record {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    local_at: u64,
}

impl Record {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Short> {
        if fields.u32()? != 0x0201_4b50 {
            return Err(Short);
        }
        let _versions = fields.u32()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time = fields.u32()?;
        let crc = fields.u32()?;
        let (packed, size) = (fields.u32()?, fields.u32()?);
        let lens = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        fields.bytes(8)?;
        let local_at = fields.u32()?;
        let name = fields.bytes(lens[0])?;
        let extra = fields.bytes(lens[1])?;
        fields.bytes(lens[2])?;
        let mut record = Self {
            name: str::from_utf8(name).map_or_else(
                |_| name.iter().map(|&b| char::from(b)).collect(),
                str::to_owned,
            ),
            flags,
            method,
            crc,
            packed: packed.into(),
            size: size.into(),
            local_at: local_at.into(),
        };
        record.widen(extra)?;
        Ok(record)
    }

    /// Takes from the ZIP64 extra field what did not fit, in this order.
    fn widen(&mut self, extra: &[u8]) -> Result<(), Short> {
        let mut extra = Fields::new(extra);
        while extra.rest().len() >= 4 {
            let (id, len) = (extra.u16()?, extra.u16()?);
            let mut field = Fields::new(extra.bytes(len.into())?);
            if id != 1 {
                continue;
            }
            for value in [&mut self.size, &mut self.packed, &mut self.local_at] {
                if *value == u64::from(u32::MAX) {
                    *value = field.u64()?;
                }
            }
        }
        Ok(())
    }
}

fn member(bytes: &(impl Bytes + ?Sized), record: Record) -> Result<Member, Halt> {
    let is_stored = record.method == 0;
    let is_sealed = record.flags & 1 != 0;
    let mut member = Member {
        name: record.name,
        size: record.size,
        method: if is_stored {
            Method::Stored
        } else {
            Method::Compressed
        },
        seal: if is_sealed { Seal::Locked } else { Seal::None },
        skip: 0,
        extents: Vec::new(),
        crc: Some(record.crc),
    };
    if !is_stored || is_sealed {
        return Ok(member);
    }
    if record.packed != record.size {
        return Err(corrupt("stored file of two lengths", record.local_at).into());
    }
    // The local header has an extra field of its own: its length is known from there alone.
    let local = take(bytes, FORMAT, record.local_at, LOCAL_BYTES)?;
    let mut fields = Fields::new(&local);
    let mut parse = || -> Result<_, Short> {
        let signature = fields.u32()?;
        fields.bytes(22)?;
        Ok((signature, fields.u16()?, fields.u16()?))
    };
    let local_corrupt = || corrupt("no file where the directory says", record.local_at);
    let (0x0403_4b50, name_len, extra_len) = parse().map_err(|Short| local_corrupt())? else {
        return Err(local_corrupt().into());
    };
    let front = LOCAL_BYTES as u64 + u64::from(name_len) + u64::from(extra_len);
    let offset = record.local_at + front;
    let end = offset.checked_add(record.size);
    if end.is_none_or(|end| bytes.len().is_some_and(|length| end > length)) {
        return Err(local_corrupt().into());
    }
    member.extents.push(Extent {
        volume: 0,
        offset,
        len: record.size,
        certainty: Certainty::Exact,
    });
    Ok(member)
}

fn corrupt(what: &'static str, at: u64) -> Error {
    Error::Corrupt {
        format: FORMAT,
        what,
        at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::{Need, Sparse};

    /// Written by Info-ZIP 3.0.
    const ARCHIVE: &[u8] = include_bytes!("fixtures/z.zip");

    fn all(bytes: &[u8]) -> Result<Vec<Member>, Error> {
        match members(bytes)? {
            Step::Done(members) => Ok(members),
            Step::Need(need) => panic!("all is here, yet {need:?}"),
        }
    }

    #[test]
    fn maps_stored_files() {
        let members = all(ARCHIVE).unwrap();
        let names: Vec<_> = members.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["film.mkv", "dir/\u{fc}\u{4e16}.txt"]);
        for member in &members {
            let Extent { offset, len, .. } = member.extents[0];
            let bytes = &ARCHIVE[offset as usize..(offset + len) as usize];
            assert_eq!(member.crc, Some(crc32fast::hash(bytes)));
            assert!(member.is_mapped());
        }
    }

    #[test]
    fn finds_the_directory_before_a_comment() {
        let mut archive = ARCHIVE.to_vec();
        let at = archive.len() - 2;
        archive[at..].copy_from_slice(&5_u16.to_le_bytes());
        archive.extend(b"PK\x05\x06!");
        assert_eq!(all(&archive), all(ARCHIVE));
    }

    #[test]
    fn asks_for_what_it_reads_alone() {
        let mut here = Sparse::new(Some(ARCHIVE.len() as u64));
        let mut asked = 0;
        let found = loop {
            match members(&here).unwrap() {
                Step::Done(found) => break found,
                Step::Need(Need { offset, len }) => {
                    here.insert(
                        offset,
                        ARCHIVE[offset as usize..(offset + len) as usize].to_vec(),
                    );
                    asked += len;
                }
            }
        };
        assert_eq!(Ok(found), all(ARCHIVE));
        assert!(asked < 400, "{asked}");
    }

    #[test]
    fn reads_large_archives_and_tells_what_is_no_use() {
        // One stored file of 5 GiB that begins at 4 GiB, and an encrypted and a packed one.
        let (size, local_at) = (5_u64 << 30, 4_u64 << 30);
        let record = |flags: u16, method: u16, extra: &[u8]| {
            let mut record = b"PK\x01\x02\0\0\0\0".to_vec();
            record.extend(flags.to_le_bytes());
            record.extend(method.to_le_bytes());
            record.extend([0; 8]);
            record.extend([0xff; 8]);
            record.extend([1, 0, extra.len() as u8, 0, 0, 0]);
            record.extend([0; 8]);
            record.extend([0xff; 4]);
            record.push(b'x');
            record.extend(extra);
            record
        };
        let extra = [
            &[9, 0, 1, 0, 7, 1, 0, 24, 0],
            &size.to_le_bytes()[..],
            &size.to_le_bytes(),
            &local_at.to_le_bytes(),
        ]
        .concat();
        let mut directory = [
            record(0, 0, &extra),
            record(1, 0, &extra),
            record(0, 8, &extra),
        ]
        .concat();
        let (directory_at, directory_len) = (20_u64 << 30, directory.len() as u64);
        let end64_at = directory_at + directory_len;
        directory.extend(b"PK\x06\x06");
        directory.extend([0; 28]);
        directory.extend(3_u64.to_le_bytes());
        directory.extend(directory_len.to_le_bytes());
        directory.extend(directory_at.to_le_bytes());
        directory.extend(b"PK\x06\x07\0\0\0\0");
        directory.extend(end64_at.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(b"PK\x05\x06\0\0\0\0");
        directory.extend([0xff; 12]);
        directory.extend([0; 2]);
        let mut here = Sparse::new(Some(directory_at + directory.len() as u64));
        here.insert(directory_at, directory);
        let mut local = b"PK\x03\x04".to_vec();
        local.extend([0; 22]);
        local.extend([1, 0, 20, 0]);
        here.insert(local_at, local);
        let Step::Done(found) = members(&here).unwrap() else {
            panic!("all is here")
        };
        assert_eq!(
            found[0].extents,
            [Extent {
                volume: 0,
                offset: local_at + 51,
                len: size,
                certainty: Certainty::Exact
            }]
        );
        assert_eq!(
            (found[1].seal.clone(), found[2].method),
            (Seal::Locked, Method::Compressed)
        );
    }

    proptest! {
        #[test]
        fn damaged_archives_do_no_harm(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
            let mut archive = ARCHIVE.to_vec();
            for (at, byte) in flips {
                // The directory and the end, where something can go wrong.
                let at = 1050 + at.index(archive.len() - 1050);
                archive[at] = byte;
            }
            let _ = all(&archive);
        }
    }
}
