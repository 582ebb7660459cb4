//! Streams and folders: the part of a header that says how bytes were packed.

use super::{END, START_BYTES, bounded, corrupt, short, unsupported};
use crate::archive::Error;
use crate::archive::bytes::{Fields, Short};

const PACK_INFO: u64 = 0x06;
const UNPACK_INFO: u64 = 0x07;
const SUBSTREAMS: u64 = 0x08;
const SIZE: u64 = 0x09;
const CRC: u64 = 0x0a;
const FOLDER: u64 = 0x0b;
const CODERS_UNPACK_SIZE: u64 = 0x0c;
const UNPACK_STREAMS: u64 = 0x0d;

/// Coders of a folder, and their streams; 7-Zip's own limit is 32.
const CODERS_MAX: u64 = 32;

#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Where the packed bytes begin in the archive.
    pub(super) pack_offset: u64,
    pub(super) pack_sizes: Vec<u64>,
    pub(super) folders: Vec<Folder>,
}

#[derive(Debug, Default)]
pub(super) struct Folder {
    coders: Vec<Coder>,
    /// Which input takes which output.
    bonds: Vec<(u64, u64)>,
    /// The inputs that take packed streams.
    pub(super) packed: Vec<u64>,
    unpack_sizes: Vec<u64>,
    pub(super) crc: Option<u32>,
    /// Size and checksum of each file in it, `None` where it is one file and nothing more is said.
    contents: Option<Vec<(u64, Option<u32>)>>,
}

#[derive(Debug)]
pub(super) struct Coder {
    pub(super) method: Vec<u8>,
    inputs: u64,
    outputs: u64,
    pub(super) properties: Vec<u8>,
}

impl Folder {
    /// Its coders from the packed stream to the files, each with what it unpacks to. An error if they
    /// are no chain.
    pub(super) fn chain(&self) -> Result<Vec<(&Coder, u64)>, Error> {
        let is_simple = self
            .coders
            .iter()
            .all(|coder| coder.inputs == 1 && coder.outputs == 1);
        let mut chain = Vec::new();
        let mut next = self
            .packed
            .first()
            .copied()
            .filter(|_| is_simple && self.packed.len() == 1);
        while let Some(at) = next {
            // Not longer than the folder: bonds may go round.
            if chain.len() == self.coders.len() {
                break;
            }
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            let (Some(coder), Some(&size)) = (self.coders.get(index), self.unpack_sizes.get(index))
            else {
                break;
            };
            chain.push((coder, size));
            next = self
                .bonds
                .iter()
                .find(|(_, output)| *output == at)
                .map(|(input, _)| *input);
        }
        if next.is_some() || chain.len() != self.coders.len() || chain.is_empty() {
            return Err(unsupported("a folder of that many streams"));
        }
        Ok(chain)
    }

    /// Size and checksum of each file in it.
    pub(super) fn contents(&self) -> Vec<(u64, Option<u32>)> {
        let whole = || {
            self.size()
                .map(|size| (size, self.crc))
                .into_iter()
                .collect()
        };
        self.contents.clone().unwrap_or_else(whole)
    }

    /// What comes out of the coder whose output no other takes.
    fn size(&self) -> Option<u64> {
        let outputs = 0..self.unpack_sizes.len() as u64;
        let last = outputs
            .rev()
            .find(|at| self.bonds.iter().all(|(_, output)| output != at))?;
        self.unpack_sizes.get(usize::try_from(last).ok()?).copied()
    }
}

impl Streams {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        let mut streams = Self::default();
        loop {
            match fields.counted().map_err(short)? {
                END => break,
                PACK_INFO => streams.pack_info(fields)?,
                UNPACK_INFO => streams.unpack_info(fields)?,
                SUBSTREAMS => streams.substreams(fields)?,
                _ => return Err(corrupt("unknown part of the streams", 0)),
            }
        }
        Ok(streams)
    }

    fn pack_info(&mut self, fields: &mut Fields<'_>) -> Result<(), Error> {
        let offset = fields.counted().map_err(short)?;
        self.pack_offset = offset
            .checked_add(START_BYTES as u64)
            .ok_or_else(|| corrupt("impossible offset", 0))?;
        let count = count(fields)?;
        loop {
            match fields.counted().map_err(short)? {
                END => return Ok(()),
                SIZE => self.pack_sizes = numbers(fields, count).map_err(short)?,
                CRC => {
                    digests(fields, count).map_err(short)?;
                }
                _ => return Err(corrupt("unknown part of the packed streams", 0)),
            }
        }
    }

    fn unpack_info(&mut self, fields: &mut Fields<'_>) -> Result<(), Error> {
        let mut parse =
            || -> Result<_, Short> { Ok((fields.counted()?, count_of(fields)?, fields.u8()?)) };
        let (FOLDER, count, 0) = parse().map_err(short)? else {
            return Err(corrupt("no folders where they should be", 0));
        };
        for _ in 0..count {
            self.folders.push(folder(fields)?);
        }
        loop {
            match fields.counted().map_err(short)? {
                END => return Ok(()),
                CODERS_UNPACK_SIZE => {
                    for folder in &mut self.folders {
                        let outputs = folder.coders.iter().map(|coder| coder.outputs).sum::<u64>();
                        folder.unpack_sizes = numbers(fields, outputs as usize).map_err(short)?;
                    }
                }
                CRC => {
                    let crcs = digests(fields, count).map_err(short)?;
                    self.folders
                        .iter_mut()
                        .zip(crcs)
                        .for_each(|(folder, crc)| folder.crc = crc);
                }
                _ => return Err(corrupt("unknown part of the folders", 0)),
            }
        }
    }

    fn substreams(&mut self, fields: &mut Fields<'_>) -> Result<(), Error> {
        let mut counts = vec![1; self.folders.len()];
        let mut id = fields.counted().map_err(short)?;
        if id == UNPACK_STREAMS {
            for slot in &mut counts {
                *slot = fields.counted().map_err(short)?;
            }
            id = fields.counted().map_err(short)?;
        }
        // Each file but the last of its folder has a byte or more for its size.
        let total = counts
            .iter()
            .fold(0_u64, |sum, &count| sum.saturating_add(count));
        if total > (fields.rest().len() + self.folders.len()) as u64 {
            return Err(corrupt("more files than bytes", 0));
        }
        for (folder, &count) in self.folders.iter_mut().zip(&counts) {
            let mut left = folder
                .size()
                .ok_or_else(|| corrupt("folder without a size", 0))?;
            let mut contents = Vec::new();
            for at in 1..=count {
                let mut size = left;
                if at < count {
                    size = if id == SIZE {
                        fields.counted().map_err(short)?
                    } else {
                        0
                    };
                }
                left = left
                    .checked_sub(size)
                    .ok_or_else(|| corrupt("files larger than their folder", 0))?;
                contents.push((size, None));
            }
            folder.contents = Some(contents);
        }
        if id == SIZE {
            id = fields.counted().map_err(short)?;
        }
        while id != END {
            if id != CRC {
                return Err(corrupt("unknown part of the files' streams", 0));
            }
            self.content_crcs(fields).map_err(short)?;
            id = fields.counted().map_err(short)?;
        }
        Ok(())
    }

    /// Checksums of the files that have none by their folder's.
    fn content_crcs(&mut self, fields: &mut Fields<'_>) -> Result<(), Short> {
        let mut unknown = Vec::new();
        for folder in &mut self.folders {
            match folder.contents.as_deref_mut() {
                Some([(_, crc)]) if folder.crc.is_some() => *crc = folder.crc,
                Some(contents) => unknown.extend(contents.iter_mut().map(|(_, crc)| crc)),
                None => {}
            }
        }
        let crcs = digests(fields, unknown.len())?;
        unknown
            .into_iter()
            .zip(crcs)
            .for_each(|(slot, crc)| *slot = crc);
        Ok(())
    }
}

fn folder(fields: &mut Fields<'_>) -> Result<Folder, Error> {
    let mut folder = Folder::default();
    let coders = fields.counted().map_err(short)?;
    if coders == 0 || coders > CODERS_MAX {
        return Err(corrupt("folder of no or too many coders", 0));
    }
    for _ in 0..coders {
        folder.coders.push(coder(fields).map_err(short)?);
    }
    let sum =
        |count: fn(&Coder) -> u64| folder.coders.iter().map(count).fold(0, u64::saturating_add);
    let (inputs, outputs) = (sum(|coder| coder.inputs), sum(|coder| coder.outputs));
    let bonds = outputs.wrapping_sub(1);
    if inputs > CODERS_MAX || outputs > CODERS_MAX || outputs == 0 || inputs < bonds {
        return Err(corrupt("folder of impossible streams", 0));
    }
    for _ in 0..bonds {
        let bond = (
            fields.counted().map_err(short)?,
            fields.counted().map_err(short)?,
        );
        folder.bonds.push(bond);
    }
    let packed = inputs - bonds;
    if packed == 1 {
        let is_free = |at: &u64| folder.bonds.iter().all(|(input, _)| input != at);
        let free = (0..inputs).find(is_free);
        folder.packed = free.into_iter().collect();
        if free.is_none() {
            return Err(corrupt("folder without a packed stream", 0));
        }
    } else {
        folder.packed = numbers(fields, packed as usize).map_err(short)?;
    }
    Ok(folder)
}

fn coder(fields: &mut Fields<'_>) -> Result<Coder, Short> {
    let flags = fields.u8()?;
    let method = fields.bytes(usize::from(flags & 0x0f))?.to_vec();
    let (inputs, outputs) = if flags & 0x10 == 0 {
        (1, 1)
    } else {
        (fields.counted()?, fields.counted()?)
    };
    let properties = if flags & 0x20 == 0 {
        Vec::new()
    } else {
        let len = usize::try_from(fields.counted()?).map_err(|_| Short)?;
        fields.bytes(len)?.to_vec()
    };
    Ok(Coder {
        method,
        inputs,
        outputs,
        properties,
    })
}

fn count(fields: &mut Fields<'_>) -> Result<usize, Error> {
    let count = fields.counted().map_err(short)?;
    bounded(count).map(|count| count.min(fields.rest().len()))
}

/// A number of things of which each takes a byte or more.
pub(super) fn count_of(fields: &mut Fields<'_>) -> Result<usize, Short> {
    let count = usize::try_from(fields.counted()?).map_err(|_| Short)?;
    if count > fields.rest().len() {
        return Err(Short);
    }
    Ok(count)
}

fn numbers(fields: &mut Fields<'_>, count: usize) -> Result<Vec<u64>, Short> {
    if count > fields.rest().len() {
        return Err(Short);
    }
    (0..count).map(|_| fields.counted()).collect()
}

/// One bit for each of `count`, the highest first.
pub(super) fn bits(fields: &mut Fields<'_>, count: usize) -> Result<Vec<bool>, Short> {
    let bytes = fields.bytes(count.div_ceil(8))?;
    Ok((0..count)
        .map(|at| bytes[at / 8] & (0x80 >> (at % 8)) != 0)
        .collect())
}

/// Which of `count` have a checksum, then those.
fn digests(fields: &mut Fields<'_>, count: usize) -> Result<Vec<Option<u32>>, Short> {
    let defined = if fields.u8()? == 0 {
        bits(fields, count)?
    } else if count <= fields.rest().len() {
        vec![true; count]
    } else {
        return Err(Short);
    };
    let digest = |is_defined| -> Result<_, Short> {
        if is_defined {
            fields.u32().map(Some)
        } else {
            Ok(None)
        }
    };
    defined.into_iter().map(digest).collect()
}
