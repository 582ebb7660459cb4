//! Headers of RAR 5 and later (RARLAB, "RAR 5.0 archive format").

use sha2::{Digest, Sha256};

use super::{Content, Entry, HEADER_BYTES_MAX, Header, HeaderSeal, Main};
use crate::archive::bytes::{Fields, Halt, Short, take};
use crate::archive::{Bytes, Cipher, Error, Keys, Method, Seal};

const FORMAT: &str = "rar5";

/// CRC and the longest size that we allow: three bytes of seven bits.
const FRONT_BYTES: usize = 4 + 3;

// Header types.
const MAIN: u64 = 1;
const FILE: u64 = 2;
const ENCRYPTION: u64 = 4;
const END: u64 = 5;

// Header flags.
const HAS_EXTRA: u64 = 1;
const HAS_DATA: u64 = 2;
const IS_CONTINUED: u64 = 8;
const CONTINUES: u64 = 0x10;

// Records of a file's extra area.
const EXTRA_ENCRYPTION: u64 = 1;
const EXTRA_REDIRECTION: u64 = 5;

pub(super) fn header(
    bytes: &(impl Bytes + ?Sized),
    at: u64,
    seal: &HeaderSeal,
    keys: &mut Keys,
) -> Result<Header, Halt> {
    let (fields, data_at, padding) = match seal {
        HeaderSeal::V5(key) => open(bytes, at, key)?,
        _ => clear(bytes, at)?,
    };
    let mut header = parse(&fields, data_at, keys).map_err(|stop| match stop {
        Stop::Short => corrupt("header shorter than its fields", at),
        Stop::Error(error) => error,
    })?;
    if let Content::Main(main) = &mut header.content {
        main.padding = padding;
    }
    Ok(header)
}

/// A header from its type on, where its data begins, and its padding.
type Opened = (Vec<u8>, u64, Option<u64>);

fn clear(bytes: &(impl Bytes + ?Sized), at: u64) -> Result<Opened, Halt> {
    // The shortest header, that of the end, has as many bytes as this front.
    let front = take(bytes, FORMAT, at, FRONT_BYTES)?;
    let (start, len) = sized(&front, at)?;
    let header = take(bytes, FORMAT, at, start + len)?;
    if !is_sound(&header) {
        return Err(corrupt("wrong checksum of a header", at).into());
    }
    let data_at = at + header.len() as u64;
    Ok((header[start..].to_vec(), data_at, None))
}

/// An encrypted header: a vector, then whole blocks.
fn open(bytes: &(impl Bytes + ?Sized), at: u64, key: &[u8; 32]) -> Result<Opened, Halt> {
    let front = take(bytes, FORMAT, at, 32)?;
    let (iv, block) = front.split_at(16);
    let cipher = Cipher::aes256(*key, iv.try_into().expect("split at 16"));
    let mut first = block.to_vec();
    cipher.decrypt(None, &mut first);
    let (start, len) = sized(&first, at).map_err(|_| Error::WrongPassword(FORMAT))?;
    let padded = (start + len).next_multiple_of(16);
    if bytes
        .len()
        .is_some_and(|length| at + 16 + padded as u64 > length)
    {
        return Err(Error::WrongPassword(FORMAT).into());
    }
    let mut header = take(bytes, FORMAT, at + 16, padded)?;
    cipher.decrypt(None, &mut header);
    header.truncate(start + len);
    if !is_sound(&header) {
        return Err(Error::WrongPassword(FORMAT).into());
    }
    header.drain(..start);
    let padding = padded - (start + len);
    Ok((header, at + 16 + padded as u64, Some(padding as u64)))
}

/// Where the header's type stands, and how many bytes there are from there on.
fn sized(front: &[u8], at: u64) -> Result<(usize, usize), Error> {
    let mut fields = Fields::new(&front[4..]);
    let size = fields
        .vint()
        .map_err(|Short| corrupt("size of a header", at))?;
    let start = front.len() - fields.rest().len();
    match usize::try_from(size) {
        Ok(0) => Err(corrupt("empty header", at)),
        Ok(len) if len <= HEADER_BYTES_MAX => Ok((start, len)),
        _ => Err(Error::TooLarge {
            format: FORMAT,
            what: "bytes of a header",
            limit: HEADER_BYTES_MAX as u64,
        }),
    }
}

fn is_sound(header: &[u8]) -> bool {
    header
        .split_first_chunk::<4>()
        .is_some_and(|(crc, rest)| u32::from_le_bytes(*crc) == crc32fast::hash(rest))
}

fn corrupt(what: &'static str, at: u64) -> Error {
    Error::Corrupt {
        format: FORMAT,
        what,
        at,
    }
}

enum Stop {
    Short,
    Error(Error),
}

impl From<Short> for Stop {
    fn from(Short: Short) -> Self {
        Self::Short
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn parse(header: &[u8], data_at: u64, keys: &mut Keys) -> Result<Header, Stop> {
    let mut fields = Fields::new(header);
    let kind = fields.vint()?;
    let flags = fields.vint()?;
    let extra_len = if flags & HAS_EXTRA == 0 {
        0
    } else {
        fields.vint()?
    };
    let data_len = if flags & HAS_DATA == 0 {
        0
    } else {
        fields.vint()?
    };
    let next = data_at
        .checked_add(data_len)
        .ok_or_else(|| corrupt("data of impossible length", data_at))?;
    let content = match kind {
        MAIN => Content::Main(main(&mut fields)?),
        FILE => {
            let extra_len = usize::try_from(extra_len).map_err(|_| Short)?;
            let body_len = fields.rest().len().checked_sub(extra_len).ok_or(Short)?;
            let (body, extra) = fields.rest().split_at(body_len);
            let mut entry = file(&mut Fields::new(body))?;
            (entry.offset, entry.len) = (data_at, data_len);
            entry.is_continued = flags & IS_CONTINUED != 0;
            entry.continues = flags & CONTINUES != 0;
            // A piece's checksum is that of its packed bytes.
            entry.crc = entry.crc.filter(|_| !entry.continues);
            extras(extra, &mut entry, keys)?;
            Content::Entry(entry)
        }
        ENCRYPTION => Content::Seal(HeaderSeal::V5(header_key(&mut fields, keys)?)),
        END => Content::End {
            continues: fields.vint()? & 1 != 0,
            number: None,
        },
        _ => Content::Other,
    };
    Ok(Header { next, content })
}

fn main(fields: &mut Fields<'_>) -> Result<Main, Short> {
    let flags = fields.vint()?;
    let is_volume = flags & 1 != 0;
    let number = if flags & 2 == 0 { 0 } else { fields.vint()? };
    Ok(Main {
        is_volume,
        is_first: Some(number == 0),
        number: Some(number),
        seals_the_rest: false,
        padding: None,
    })
}

fn file(fields: &mut Fields<'_>) -> Result<Entry, Short> {
    let flags = fields.vint()?;
    let size = fields.vint()?;
    let _attributes = fields.vint()?;
    if flags & 2 != 0 {
        fields.u32()?;
    }
    let crc = if flags & 4 == 0 {
        None
    } else {
        Some(fields.u32()?)
    };
    let compression = fields.vint()?;
    let _host = fields.vint()?;
    let name_len = usize::try_from(fields.vint()?).map_err(|_| Short)?;
    let name = String::from_utf8_lossy(fields.bytes(name_len)?).into_owned();
    Ok(Entry {
        name,
        is_file: flags & 1 == 0,
        size: (flags & 8 == 0).then_some(size),
        method: if compression >> 7 & 7 == 0 {
            Method::Stored
        } else {
            Method::Compressed
        },
        seal: Seal::None,
        offset: 0,
        len: 0,
        is_continued: false,
        continues: false,
        crc,
    })
}

/// The records behind a file's fields: each has its size, its type, and what the type says.
fn extras(extra: &[u8], entry: &mut Entry, keys: &mut Keys) -> Result<(), Stop> {
    let mut records = Fields::new(extra);
    while !records.rest().is_empty() {
        let len = usize::try_from(records.vint()?).map_err(|_| Short)?;
        let mut record = Fields::new(records.bytes(len)?);
        match record.vint()? {
            EXTRA_ENCRYPTION => entry.seal = file_seal(&mut record, entry, keys)?,
            EXTRA_REDIRECTION => entry.is_file = false,
            _ => {}
        }
    }
    Ok(())
}

fn file_seal(record: &mut Fields<'_>, entry: &mut Entry, keys: &mut Keys) -> Result<Seal, Stop> {
    known_version(record.vint()?)?;
    let flags = record.vint()?;
    let rounds_log2 = record.u8()?;
    let salt = record.array()?;
    let iv = record.array()?;
    // The checksum is mixed with a key: it cannot be compared with that of the bytes.
    if flags & 2 != 0 {
        entry.crc = None;
    }
    if !keys.has_password() {
        return Ok(Seal::Locked);
    }
    let (key, check) = keys.rar5(salt, rounds_log2)?;
    if flags & 1 != 0 {
        is_right(check, record)?;
    }
    Ok(Seal::Open(Cipher::aes256(key, iv)))
}

fn header_key(fields: &mut Fields<'_>, keys: &mut Keys) -> Result<[u8; 32], Stop> {
    known_version(fields.vint()?)?;
    let flags = fields.vint()?;
    let rounds_log2 = fields.u8()?;
    let salt = fields.array()?;
    let (key, check) = keys.rar5(salt, rounds_log2)?;
    if flags & 1 != 0 {
        is_right(check, fields)?;
    }
    Ok(key)
}

fn known_version(version: u64) -> Result<(), Error> {
    if version == 0 {
        return Ok(());
    }
    Err(Error::Unsupported {
        format: FORMAT,
        what: "another encryption than AES-256",
    })
}

/// Compares the password's check value with the one stored, where that is sound itself.
fn is_right(check: [u8; 8], fields: &mut Fields<'_>) -> Result<(), Stop> {
    let stored: [u8; 8] = fields.array()?;
    let sum: [u8; 4] = fields.array()?;
    if Sha256::digest(stored)[..4] == sum && stored != check {
        return Err(Error::WrongPassword(FORMAT).into());
    }
    Ok(())
}
