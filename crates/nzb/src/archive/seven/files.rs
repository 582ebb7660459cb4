//! Files: names, and which of them have content.

use super::streams::{bits, count_of};
use super::{END, short};
use crate::archive::Error;
use crate::archive::bytes::{Fields, Short};

const EMPTY_STREAM: u64 = 0x0e;
const NAMES: u64 = 0x11;

#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    /// Directories and empty files have no stream.
    pub(super) has_stream: bool,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Result<Vec<File>, Error> {
    parse(fields).map_err(short)
}

fn parse(fields: &mut Fields<'_>) -> Result<Vec<File>, Short> {
    let count = count_of(fields)?;
    let mut is_empty = vec![false; count];
    let mut names = Vec::new();
    loop {
        let id = fields.counted()?;
        if id == END {
            break;
        }
        let len = usize::try_from(fields.counted()?).map_err(|_| Short)?;
        let mut property = Fields::new(fields.bytes(len)?);
        match id {
            EMPTY_STREAM => is_empty = bits(&mut property, count)?,
            NAMES => {
                // Names kept elsewhere are of versions that never came.
                if property.u8()? != 0 {
                    return Err(Short);
                }
                names = utf16(property.rest());
            }
            _ => {}
        }
    }
    names.resize(count, String::new());
    let file = |(name, is_empty): (String, bool)| File {
        name,
        has_stream: !is_empty,
    };
    Ok(names.into_iter().zip(is_empty).map(file).collect())
}

/// Names in UTF-16, each with a zero behind it.
fn utf16(bytes: &[u8]) -> Vec<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    let mut names: Vec<String> = units
        .split(|&unit| unit == 0)
        .map(String::from_utf16_lossy)
        .collect();
    // Behind the last zero there is no name.
    names.pop();
    names
}
