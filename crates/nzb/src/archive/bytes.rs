//! The bytes of a file that are here so far.

use std::collections::BTreeMap;

use super::Error;

/// A file of which some bytes may be missing.
pub trait Bytes {
    /// Copies what is here from `offset` on into `buffer`, up to the first byte that is not, and
    /// returns how many.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize;

    /// The file's length, if it is known.
    fn len(&self) -> Option<u64>;

    /// Whether the file is known to be empty.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// Bytes that a parser wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Offset of the first.
    pub offset: u64,
    /// How many; more will do no harm.
    pub len: u64,
}

/// How far a parser came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step<T = ()> {
    /// It stands until these bytes are here.
    Need(Need),
    /// It has all that it looks for.
    Done(T),
}

/// Why a parser stops, from within.
#[derive(Clone, Copy, Debug)]
pub(super) enum Halt {
    Need(Need),
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Halt {
    /// As the public methods tell it.
    pub(super) fn step<T>(result: Result<T, Self>) -> Result<Step<T>, Error> {
        match result {
            Ok(found) => Ok(Step::Done(found)),
            Err(Self::Need(need)) => Ok(Step::Need(need)),
            Err(Self::Error(error)) => Err(error),
        }
    }
}

/// The `len` bytes at `offset`. They must lie in the file.
pub(super) fn take(
    bytes: &(impl Bytes + ?Sized),
    format: &'static str,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>, Halt> {
    let end = offset.checked_add(len as u64);
    if end.is_none_or(|end| bytes.len().is_some_and(|length| end > length)) {
        return Err(Error::Corrupt {
            format,
            what: "header reaches behind the end",
            at: offset,
        }
        .into());
    }
    let mut buffer = vec![0; len];
    let got = bytes.read(offset, &mut buffer);
    if got < len {
        return Err(Halt::Need(Need {
            offset: offset + got as u64,
            len: (len - got) as u64,
        }));
    }
    Ok(buffer)
}

impl Bytes for [u8] {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        len
    }

    fn len(&self) -> Option<u64> {
        Some(<[u8]>::len(self) as u64)
    }
}

/// Pieces of a file, as they came. Pieces do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Sparse {
    pieces: BTreeMap<u64, Vec<u8>>,
    length: Option<u64>,
}

impl Sparse {
    /// No bytes yet of a file of `length` bytes.
    pub fn new(length: Option<u64>) -> Self {
        Self {
            pieces: BTreeMap::new(),
            length,
        }
    }

    /// Adds the bytes at `offset`.
    pub fn insert(&mut self, offset: u64, bytes: Vec<u8>) {
        self.pieces.insert(offset, bytes);
    }
}

impl Bytes for Sparse {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            let Some((start, piece)) = self.pieces.range(..=at).next_back() else {
                break;
            };
            let got = piece.as_slice().read(at - start, &mut buffer[filled..]);
            if got == 0 {
                break;
            }
            filled += got;
        }
        filled
    }

    fn len(&self) -> Option<u64> {
        self.length
    }
}

/// Little-endian fields of a header that is here whole.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// The header ended before its field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short;

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    /// 7z's number: the leading ones of the first byte count the bytes that follow, lowest first; what
    /// is left of the first byte comes on top.
    pub(super) fn counted(&mut self) -> Result<u64, Short> {
        let first = self.u8()?;
        let more = first.leading_ones().min(8);
        let mut value = 0;
        for at in 0..more {
            value |= u64::from(self.u8()?) << (8 * at);
        }
        if more < 7 {
            let high = u64::from(first) & (0x7f >> more);
            value |= high << (8 * more);
        }
        Ok(value)
    }

    /// RAR5's number: seven bits a byte, the lowest first, the top bit set on all but the last.
    pub(super) fn vint(&mut self) -> Result<u64, Short> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Short);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Short)
    }
}
