//! File descriptions of PAR2 (Parity Volume Set Specification 2.0): true names and exact lengths of
//! files that were posted under other names. Repair is not here.

use std::collections::HashSet;

use md5::{Digest, Md5};

use super::bytes::Fields;

/// Bytes of a file's front that [`Description::front_md5`] covers.
pub const HASHED_BYTES: usize = 16 << 10;

/// Bytes of a packet's header.
const HEADER_BYTES: usize = 64;
/// Bytes of a description before its name.
const FIXED_BYTES: usize = 56;
/// Bytes of a name, padding included.
const NAME_BYTES_MAX: usize = 4096;
/// Files of a set; the format's own limit.
const FILES_MAX: usize = 32_768;

/// What a set knows about one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The file's name when the set was made; may hold directories. Not safe as a path of ours.
    pub name: String,
    /// The file's length in bytes.
    pub size: u64,
    /// MD5 of the whole file.
    pub md5: [u8; 16],
    /// MD5 of its first 16 KiB, or of all of it if it is shorter.
    pub front_md5: [u8; 16],
}

/// The descriptions in `bytes`, which may be any piece of a PAR2 file; each file once. Packets that
/// are cut off or damaged are passed over: every volume of a set repeats them.
pub fn descriptions(bytes: &[u8]) -> Vec<Description> {
    let (mut found, mut ids) = (Vec::new(), HashSet::new());
    let mut at = 0;
    while let Some(next) = memchr::memmem::find(&bytes[at..], b"PAR2\0PKT") {
        at += next;
        let Some((len, file)) = packet(&bytes[at..]) else {
            at += 8;
            continue;
        };
        at += len;
        if let Some((id, description)) = file {
            if found.len() == FILES_MAX {
                break;
            }
            if ids.insert(id) {
                found.push(description);
            }
        }
    }
    found
}

/// What [`Description::front_md5`] is compared with. `front` is the file's first 16 KiB, or the file.
pub fn hash_of_front(front: &[u8]) -> [u8; 16] {
    Md5::digest(&front[..front.len().min(HASHED_BYTES)]).into()
}

type FileDescription = ([u8; 16], Description);

/// The packet's length and the description in it. Large packets of other types are not hashed.
fn packet(bytes: &[u8]) -> Option<(usize, Option<FileDescription>)> {
    let mut header = Fields::new(bytes.get(8..HEADER_BYTES)?);
    let len = usize::try_from(header.u64().ok()?).ok()?;
    let md5: [u8; 16] = header.array().ok()?;
    let _set: [u8; 16] = header.array().ok()?;
    let kind: [u8; 16] = header.array().ok()?;
    if len < HEADER_BYTES || len % 4 != 0 {
        return None;
    }
    let whole = bytes.get(..len)?;
    if kind != *b"PAR 2.0\0FileDesc" {
        return Some((len, None));
    }
    let is_sound = len <= HEADER_BYTES + FIXED_BYTES + NAME_BYTES_MAX
        && <[u8; 16]>::from(Md5::digest(&whole[32..])) == md5;
    if !is_sound {
        return None;
    }
    let mut body = Fields::new(&whole[HEADER_BYTES..]);
    let id = body.array().ok()?;
    let md5 = body.array().ok()?;
    let front_md5 = body.array().ok()?;
    let size = body.u64().ok()?;
    let name = body.rest();
    let name = &name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())];
    let description = Description {
        name: str::from_utf8(name).map_or_else(
            |_| name.iter().map(|&b| char::from(b)).collect(),
            str::to_owned,
        ),
        size,
        md5,
        front_md5,
    };
    Some((len, Some((id, description))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by `par2` 0.8.1 for the film of the archives' tests.
    const SET: &[u8] = include_bytes!("fixtures/p.par2");

    #[test]
    fn names_files_by_their_front() {
        let [film] = &descriptions(SET)[..] else {
            panic!("one file")
        };
        let rest = (4..1000_u64).map(|i| ((i * i * 31 + i * 7) >> 3) as u8);
        let bytes: Vec<u8> = [0x1a, 0x45, 0xdf, 0xa3].into_iter().chain(rest).collect();
        assert_eq!((&*film.name, film.size), ("film.mkv", 1000));
        assert_eq!(film.front_md5, hash_of_front(&bytes));
        assert_eq!(film.md5, film.front_md5, "it is shorter than 16 KiB");
    }

    #[test]
    fn each_file_is_told_once_and_damage_is_passed_over() {
        let twice = [SET, b"noise", SET].concat();
        assert_eq!(descriptions(&twice), descriptions(SET));
        let at = memchr::memmem::find(SET, b"film.mkv").unwrap();
        let mut damaged = SET.to_vec();
        damaged[at] ^= 1;
        assert_eq!(descriptions(&damaged), []);
        assert_eq!(descriptions(&[&damaged, SET].concat()), descriptions(SET));
        assert_eq!(descriptions(&SET[..at]), []);
    }

    #[test]
    fn the_front_ends_at_16_kib() {
        let front = vec![7; HASHED_BYTES];
        assert_eq!(
            hash_of_front(&front),
            hash_of_front(&[&front[..], b"more"].concat())
        );
        assert_ne!(hash_of_front(&front), hash_of_front(&front[1..]));
    }

    proptest! {
        #[test]
        fn damaged_sets_do_no_harm(at in 0usize..464, byte: u8, len in 0usize..464) {
            let mut bytes = SET[..len].to_vec();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            descriptions(&bytes);
        }
    }
}
