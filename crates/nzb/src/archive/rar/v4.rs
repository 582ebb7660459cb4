//! Headers of RAR 1.5 to 4.

use super::unicode::decode_name;
use super::{Content, Entry, Header, HeaderSeal, Main};
use crate::archive::bytes::{Fields, Halt, Short, take};
use crate::archive::{Bytes, Error, Keys, Method, Seal};

const FORMAT: &str = "rar4";

/// Checksum, type, flags and size.
const FRONT_BYTES: usize = 7;

// Header types.
const MAIN: u8 = 0x73;
const FILE: u8 = 0x74;
const SERVICE: u8 = 0x7a;
const END: u8 = 0x7b;

/// Another size follows, that of the data.
const HAS_DATA: u16 = 0x8000;

pub(super) fn header(
    bytes: &(impl Bytes + ?Sized),
    at: u64,
    seal: &HeaderSeal,
    keys: &mut Keys,
) -> Result<Header, Halt> {
    let (header, data_at) = match seal {
        HeaderSeal::None => clear(bytes, at)?,
        HeaderSeal::V4 | HeaderSeal::V5(_) => open(bytes, at, keys)?,
    };
    let is_sealed = !matches!(seal, HeaderSeal::None);
    if !is_sound(&header) {
        return Err(if is_sealed {
            Error::WrongPassword(FORMAT)
        } else {
            corrupt("wrong checksum of a header", at)
        }
        .into());
    }
    match parse(&header, data_at, keys) {
        Ok(header) => Ok(header?),
        Err(Short) => Err(corrupt("header shorter than its fields", at).into()),
    }
}

fn clear(bytes: &(impl Bytes + ?Sized), at: u64) -> Result<(Vec<u8>, u64), Halt> {
    let front = take(bytes, FORMAT, at, FRONT_BYTES)?;
    let len = sized(&front, at, false)?;
    let header = take(bytes, FORMAT, at, len)?;
    Ok((header, at + len as u64))
}

/// An encrypted header: its salt, then whole blocks.
fn open(bytes: &(impl Bytes + ?Sized), at: u64, keys: &mut Keys) -> Result<(Vec<u8>, u64), Halt> {
    let front = take(bytes, FORMAT, at, 24)?;
    let (salt, block) = front.split_at(8);
    let cipher = keys.rar4(salt.try_into().expect("split at 8"))?;
    let mut first = block.to_vec();
    cipher.decrypt(None, &mut first);
    let len = sized(&first, at, true)?;
    let padded = len.next_multiple_of(16);
    if bytes
        .len()
        .is_some_and(|length| at + 8 + padded as u64 > length)
    {
        return Err(Error::WrongPassword(FORMAT).into());
    }
    let mut header = take(bytes, FORMAT, at + 8, padded)?;
    cipher.decrypt(None, &mut header);
    header.truncate(len);
    Ok((header, at + 8 + padded as u64))
}

fn sized(front: &[u8], at: u64, is_sealed: bool) -> Result<usize, Error> {
    let len = usize::from(u16::from_le_bytes([front[5], front[6]]));
    match len {
        FRONT_BYTES.. => Ok(len),
        _ if is_sealed => Err(Error::WrongPassword(FORMAT)),
        _ => Err(corrupt("header shorter than its front", at)),
    }
}

/// The lower half of a CRC-32 of what follows it.
fn is_sound(header: &[u8]) -> bool {
    let sum = |bytes| (crc32fast::hash(bytes) & 0xffff) as u16;
    let stored = u16::from_le_bytes([header[0], header[1]]);
    // The main header's covers its fixed fields alone where a comment follows them.
    stored == sum(&header[2..])
        || (header[2] == MAIN && header.len() > 13 && stored == sum(&header[2..13]))
}

fn corrupt(what: &'static str, at: u64) -> Error {
    Error::Corrupt {
        format: FORMAT,
        what,
        at,
    }
}

fn parse(header: &[u8], data_at: u64, keys: &mut Keys) -> Result<Result<Header, Error>, Short> {
    let mut fields = Fields::new(&header[2..]);
    let kind = fields.u8()?;
    let flags = fields.u16()?;
    let _size = fields.u16()?;
    let mut data_len = 0;
    let content = match kind {
        MAIN => Content::Main(Main {
            is_volume: flags & 1 != 0,
            is_first: (flags & 0x0100 != 0).then_some(true),
            number: None,
            seals_the_rest: flags & 0x80 != 0,
            padding: None,
        }),
        FILE | SERVICE => {
            let (len, entry) = file(&mut fields, flags, data_at, keys)?;
            data_len = len;
            match entry {
                Ok(entry) if kind == FILE => Content::Entry(entry),
                Ok(_) => Content::Other,
                Err(error) => return Ok(Err(error)),
            }
        }
        END => {
            if flags & 2 != 0 {
                fields.u32()?;
            }
            let number = if flags & 8 == 0 {
                None
            } else {
                Some(fields.u16()?.into())
            };
            Content::End {
                continues: flags & 1 != 0,
                number,
            }
        }
        _ => {
            if flags & HAS_DATA != 0 {
                data_len = fields.u32()?.into();
            }
            Content::Other
        }
    };
    Ok(data_at
        .checked_add(data_len)
        .map(|next| Header { next, content })
        .ok_or_else(|| corrupt("data of impossible length", data_at)))
}

type Parsed = (u64, Result<Entry, Error>);

/// A file's or a service's header, which are alike: the length of its data, and what it says.
fn file(fields: &mut Fields<'_>, flags: u16, at: u64, keys: &mut Keys) -> Result<Parsed, Short> {
    let packed_low = fields.u32()?;
    let size_low = fields.u32()?;
    let _host = fields.u8()?;
    let crc = fields.u32()?;
    let _time = fields.u32()?;
    let version = fields.u8()?;
    let method = fields.u8()?;
    let name_len = usize::from(fields.u16()?);
    let _attributes = fields.u32()?;
    let is_large = flags & 0x0100 != 0;
    let (packed_high, size_high) = if is_large {
        (fields.u32()?, fields.u32()?)
    } else {
        (0, 0)
    };
    let packed = u64::from(packed_high) << 32 | u64::from(packed_low);
    let size = u64::from(size_high) << 32 | u64::from(size_low);
    let is_unknown = size == u64::MAX || (!is_large && size_low == u32::MAX);
    let name = decode_name(fields.bytes(name_len)?, flags & 0x0200 != 0);
    let salt = if flags & 0x0400 == 0 {
        None
    } else {
        Some(fields.array()?)
    };
    let seal = match (flags & 4 != 0, salt) {
        (false, _) => Ok(Seal::None),
        (true, _) if !keys.has_password() => Ok(Seal::Locked),
        (true, Some(salt)) if version >= 29 => keys.rar4(salt).map(Seal::Open),
        (true, _) => Err(Error::Unsupported {
            format: FORMAT,
            what: "encryption of versions before 2.9",
        }),
    };
    let entry = seal.map(|seal| Entry {
        name,
        is_file: flags & 0xe0 != 0xe0,
        size: (!is_unknown).then_some(size),
        method: if method == 0x30 {
            Method::Stored
        } else {
            Method::Compressed
        },
        seal,
        offset: at,
        len: packed,
        is_continued: flags & 1 != 0,
        continues: flags & 2 != 0,
        crc: (flags & 2 == 0).then_some(crc),
    });
    Ok((packed, entry))
}
