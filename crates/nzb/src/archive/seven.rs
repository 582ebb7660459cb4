//! 7z archives (7-Zip's `7zFormat.txt`): where stored files lie, headers packed by LZMA or encrypted
//! included.
//!
//! The header stands at the end of the archive. Volumes are pieces of one file, so the archive is
//! read as if they were one.

mod files;
mod streams;

use std::io::Read;

use lzma_rust2::LzmaReader;

use self::streams::{Coder, Folder, Streams};
use super::bytes::{Fields, Halt, Short, take};
use super::{
    BLOCK_BYTES, Bytes, Certainty, Cipher, Error, Extent, Keys, Member, Method, Seal, Step,
};

const FORMAT: &str = "7z";

/// Bytes of a header, packed or not: some 200,000 names.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Memory of the LZMA dictionary of a header, beside what it unpacks to.
const DICTIONARY_BYTES_MAX: u32 = 16 << 20;
/// Headers may be packed in headers; 7-Zip packs once.
const PACKINGS_MAX: u32 = 4;

const START_BYTES: usize = 32;

// Property ids.
const END: u64 = 0x00;
const HEADER: u64 = 0x01;
const ARCHIVE_PROPERTIES: u64 = 0x02;
const MAIN_STREAMS: u64 = 0x04;
const FILES: u64 = 0x05;
const ENCODED_HEADER: u64 = 0x17;

// Methods.
const COPY: &[u8] = &[0x00];
const LZMA: &[u8] = &[0x03, 0x01, 0x01];
const AES: &[u8] = &[0x06, 0xf1, 0x07, 0x01];

/// The archive's files with content, in its order. Extents are in the archive as a whole: their
/// volume is 0.
///
/// With a password that opens the headers, or where they are clear, a wrong password for the files'
/// bytes does not show: their CRC or their first bytes have to tell.
pub fn members(bytes: &(impl Bytes + ?Sized), keys: &mut Keys) -> Result<Step<Vec<Member>>, Error> {
    Halt::step(read(bytes, keys))
}

fn read(bytes: &(impl Bytes + ?Sized), keys: &mut Keys) -> Result<Vec<Member>, Halt> {
    let start = take(bytes, FORMAT, 0, START_BYTES)?;
    let (offset, len, crc) = start_header(&start)?;
    if len == 0 {
        return Ok(Vec::new());
    }
    let mut header = take(bytes, FORMAT, offset, bounded(len)?)?;
    if crc32fast::hash(&header) != crc {
        return Err(corrupt("wrong checksum of the header", offset).into());
    }
    for _ in 0..PACKINGS_MAX {
        let mut fields = Fields::new(&header);
        match fields.counted().map_err(short)? {
            HEADER => return Ok(main_header(&mut fields, keys)?),
            ENCODED_HEADER => {
                let streams = Streams::read(&mut fields)?;
                header = unpack(bytes, &streams, keys)?;
            }
            _ => break,
        }
    }
    Err(corrupt("no header where one should be", offset).into())
}

/// Offset, length and checksum of the header.
fn start_header(start: &[u8]) -> Result<(u64, u64, u32), Error> {
    let mut fields = Fields::new(start);
    let mut parse = || -> Result<_, Short> {
        let signature: [u8; 6] = fields.array()?;
        let _version = fields.u16()?;
        let start_crc = fields.u32()?;
        let is_sound = crc32fast::hash(fields.rest()) == start_crc;
        let (offset, len, crc) = (fields.u64()?, fields.u64()?, fields.u32()?);
        Ok((signature, is_sound, offset, len, crc))
    };
    let (signature, is_sound, offset, len, crc) = parse().map_err(short)?;
    if signature != *b"7z\xbc\xaf\x27\x1c" {
        return Err(corrupt("no signature", 0));
    }
    let offset = offset.checked_add(START_BYTES as u64).filter(|_| is_sound);
    Ok((offset.ok_or_else(|| corrupt("damaged start", 8))?, len, crc))
}

/// A header's bytes out of the stream that it is packed in.
fn unpack(
    bytes: &(impl Bytes + ?Sized),
    streams: &Streams,
    keys: &mut Keys,
) -> Result<Vec<u8>, Halt> {
    let (Some(folder), Some(&packed_len)) = (streams.folders.first(), streams.pack_sizes.first())
    else {
        return Err(corrupt("packed header without a stream", 0).into());
    };
    let mut data = take(bytes, FORMAT, streams.pack_offset, bounded(packed_len)?)?;
    let mut is_sealed = false;
    for (coder, unpacked_len) in folder.chain()? {
        let len = bounded(unpacked_len)?;
        match &*coder.method {
            COPY => {}
            AES => {
                let Some(cipher) = cipher(coder, keys)? else {
                    return Err(Error::Encrypted(FORMAT).into());
                };
                is_sealed = true;
                if !(data.len() as u64).is_multiple_of(BLOCK_BYTES) {
                    return Err(
                        corrupt("encrypted header of broken length", streams.pack_offset).into(),
                    );
                }
                cipher.decrypt(None, &mut data);
            }
            LZMA => match unpack_lzma(&data, coder, len) {
                Some(unpacked) => data = unpacked,
                None if is_sealed => return Err(Error::WrongPassword(FORMAT).into()),
                None => return Err(corrupt("packed header", streams.pack_offset).into()),
            },
            _ => return Err(unsupported("the method of its header").into()),
        }
        data.truncate(len);
    }
    match folder.crc {
        Some(crc) if crc != crc32fast::hash(&data) && is_sealed => {
            Err(Error::WrongPassword(FORMAT).into())
        }
        Some(crc) if crc != crc32fast::hash(&data) => {
            Err(corrupt("wrong checksum of a packed header", streams.pack_offset).into())
        }
        _ => Ok(data),
    }
}

fn unpack_lzma(data: &[u8], coder: &Coder, len: usize) -> Option<Vec<u8>> {
    let mut properties = Fields::new(&coder.properties);
    let (bits, dictionary) = (properties.u8().ok()?, properties.u32().ok()?);
    let dictionary = dictionary.min(DICTIONARY_BYTES_MAX);
    let reader = LzmaReader::new_with_props(data, len as u64, bits, dictionary, None).ok()?;
    let mut unpacked = Vec::new();
    reader.take(len as u64).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() == len).then_some(unpacked)
}

/// The cipher of an AES coder; `None` without a password. Its properties: rounds and the lengths of
/// salt and vector, then both.
fn cipher(coder: &Coder, keys: &mut Keys) -> Result<Option<Cipher>, Error> {
    let mut fields = Fields::new(&coder.properties);
    let mut parse = || -> Result<_, Short> {
        let first = fields.u8()?;
        let second = if first & 0xc0 == 0 { 0 } else { fields.u8()? };
        let salt_len = usize::from(first >> 7 & 1) + usize::from(second >> 4);
        let iv_len = usize::from(first >> 6 & 1) + usize::from(second & 15);
        Ok((first & 0x3f, fields.bytes(salt_len)?, fields.bytes(iv_len)?))
    };
    let (rounds_log2, salt, short_iv) = parse().map_err(short)?;
    if !keys.has_password() {
        return Ok(None);
    }
    let mut iv = [0; 16];
    iv[..short_iv.len()].copy_from_slice(short_iv);
    Ok(Some(Cipher::aes256(keys.seven(salt, rounds_log2)?, iv)))
}

fn main_header(fields: &mut Fields<'_>, keys: &mut Keys) -> Result<Vec<Member>, Error> {
    let mut streams = Streams::default();
    loop {
        match fields.counted().map_err(short)? {
            END => return Ok(Vec::new()),
            ARCHIVE_PROPERTIES => {
                while fields.counted().map_err(short)? != END {
                    let len = fields.counted().map_err(short)?;
                    fields.bytes(bounded(len)?).map_err(short)?;
                }
            }
            MAIN_STREAMS => streams = Streams::read(fields)?,
            FILES => return map(&streams, &files::read(fields)?, keys),
            _ => return Err(unsupported("a part of its header")),
        }
    }
}

/// Lays the files with content over the folders' streams, in order.
fn map(streams: &Streams, files: &[files::File], keys: &mut Keys) -> Result<Vec<Member>, Error> {
    let mut members = Vec::new();
    let mut with_content = files.iter().filter(|file| file.has_stream);
    let mut offset = streams.pack_offset;
    let mut pack_sizes = streams.pack_sizes.iter();
    for folder in &streams.folders {
        let packed: Vec<u64> = pack_sizes
            .by_ref()
            .take(folder.packed.len())
            .copied()
            .collect();
        let place = Place::of(folder, offset, packed.first().copied().unwrap_or(0), keys)?;
        let mut at = 0_u64;
        for (size, crc) in folder.contents() {
            let file = with_content
                .next()
                .ok_or_else(|| corrupt("more streams than files", 0))?;
            members.push(place.member(&file.name, at, size, crc)?);
            at = at
                .checked_add(size)
                .ok_or_else(|| corrupt("impossible size", 0))?;
        }
        offset = packed
            .iter()
            .try_fold(offset, |sum, &len| sum.checked_add(len))
            .ok_or_else(|| corrupt("impossible size", 0))?;
    }
    Ok(members)
}

/// Where a folder's bytes lie, if they are stored.
struct Place {
    offset: u64,
    len: u64,
    method: Method,
    seal: Seal,
}

impl Place {
    fn of(folder: &Folder, offset: u64, len: u64, keys: &mut Keys) -> Result<Self, Error> {
        let mut place = Self {
            offset,
            len,
            method: Method::Stored,
            seal: Seal::None,
        };
        // A folder that is no chain of coders has filters of several streams.
        let Ok(chain) = folder.chain() else {
            place.method = Method::Compressed;
            return Ok(place);
        };
        for (coder, _) in chain {
            match &*coder.method {
                COPY => {}
                AES => place.seal = cipher(coder, keys)?.map_or(Seal::Locked, Seal::Open),
                _ => place.method = Method::Compressed,
            }
        }
        Ok(place)
    }

    fn member(&self, name: &str, at: u64, size: u64, crc: Option<u32>) -> Result<Member, Error> {
        let mut member = Member {
            name: name.to_owned(),
            size,
            method: self.method,
            seal: self.seal.clone(),
            skip: 0,
            extents: Vec::new(),
            crc,
        };
        if self.method == Method::Compressed {
            return Ok(member);
        }
        let mut start = at;
        if self.seal != Seal::None {
            // From a whole block on, and one before it, which is the vector of the first.
            start = (at / BLOCK_BYTES * BLOCK_BYTES).saturating_sub(BLOCK_BYTES);
            member.skip = at - start;
        }
        let len = member.stored_size();
        let extent = len.and_then(|len| {
            let end = start.checked_add(len).filter(|&end| end <= self.len)?;
            self.offset.checked_add(end)?;
            Some(Extent {
                volume: 0,
                offset: self.offset + start,
                len,
                certainty: Certainty::Exact,
            })
        });
        let extent =
            extent.ok_or_else(|| corrupt("file behind the end of its stream", self.offset))?;
        member.extents.push(extent);
        Ok(member)
    }
}

fn bounded(len: u64) -> Result<usize, Error> {
    usize::try_from(len)
        .ok()
        .filter(|_| len <= HEADER_BYTES_MAX)
        .ok_or(Error::TooLarge {
            format: FORMAT,
            what: "bytes of a header",
            limit: HEADER_BYTES_MAX,
        })
}

fn short(Short: Short) -> Error {
    corrupt("header shorter than its fields", 0)
}

fn corrupt(what: &'static str, at: u64) -> Error {
    Error::Corrupt {
        format: FORMAT,
        what,
        at,
    }
}

fn unsupported(what: &'static str) -> Error {
    Error::Unsupported {
        format: FORMAT,
        what,
    }
}

#[cfg(test)]
mod tests;
