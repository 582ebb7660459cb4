//! Volumes written by `rar` 7.01 (version 5) and 6.23 (version 4), and damaged copies of them.

use base::Redacted;
use proptest::prelude::*;

use super::*;
use crate::archive::{Certainty, Member, Need, Sparse};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/", $name)).as_slice()
    };
}

const V5: [&[u8]; 3] = [
    fixture!("v5.part1.rar"),
    fixture!("v5.part2.rar"),
    fixture!("v5.part3.rar"),
];
const V4: [&[u8]; 3] = [
    fixture!("v4.part1.rar"),
    fixture!("v4.part2.rar"),
    fixture!("v4.part3.rar"),
];
const OLD_V4: [&[u8]; 2] = [fixture!("old4.rar"), fixture!("old4.r00")];
const P5: [&[u8]; 2] = [fixture!("p5.part1.rar"), fixture!("p5.part2.rar")];
const H5: [&[u8]; 2] = [fixture!("h5.part1.rar"), fixture!("h5.part2.rar")];
const P4: [&[u8]; 2] = [fixture!("p4.part1.rar"), fixture!("p4.part2.rar")];
const H4: [&[u8]; 2] = [fixture!("h4.part1.rar"), fixture!("h4.part2.rar")];

/// The film that all of them hold.
pub(super) fn film(len: u64) -> Vec<u8> {
    let front = [0x1a, 0x45, 0xdf, 0xa3];
    let rest = (4..len).map(|i| ((i * i * 31 + i * 7) >> 3) as u8);
    front.into_iter().chain(rest).collect()
}

fn keys(password: Option<&str>) -> Keys {
    Keys::new(password.map(|text| Redacted::new(text.to_owned())))
}

fn read(bytes: &[u8], password: Option<&str>) -> Result<Volume, Error> {
    let mut volume = Volume::new();
    assert_eq!(volume.advance(bytes, &mut keys(password))?, Step::Done(()));
    Ok(volume)
}

fn sources(volumes: &[Volume]) -> Vec<Source<'_>> {
    let source = |volume| Source {
        volume: Some(volume),
        size: None,
    };
    volumes.iter().map(source).collect()
}

/// A member's bytes out of its volumes.
fn extract(member: &Member, volumes: &[&[u8]]) -> Vec<u8> {
    assert!(member.is_mapped(), "{member:?}");
    let mut out = Vec::new();
    for extent in &member.extents {
        let range = extent.offset as usize..(extent.offset + extent.len) as usize;
        out.extend_from_slice(&volumes[extent.volume][range]);
    }
    if let Seal::Open(cipher) = &member.seal {
        cipher.decrypt(None, &mut out);
        out.truncate(member.size as usize);
    }
    out
}

#[track_caller]
fn check(volumes: &[&[u8]], password: Option<&str>, len: u64, others: &[&str]) {
    let read: Vec<_> = volumes
        .iter()
        .map(|bytes| read(bytes, password).unwrap())
        .collect();
    let got = members(&sources(&read)).unwrap();
    assert_eq!(got.unread, None);
    let names: Vec<_> = got.files[1..].iter().map(|member| &*member.name).collect();
    assert_eq!(names, others);
    let film_member = &got.files[0];
    assert_eq!(
        (film_member.size, film_member.method),
        (len, Method::Stored)
    );
    assert!(
        film_member
            .extents
            .iter()
            .all(|e| e.certainty == Certainty::Exact)
    );
    let bytes = extract(film_member, volumes);
    assert!(bytes == film(len), "the film's bytes");
    if let Some(crc) = film_member.crc {
        assert_eq!(crc, crc32fast::hash(&bytes));
    }
    for member in &got.files[1..] {
        assert_eq!(extract(member, volumes), b"hello there\n");
    }
    let numbers: Vec<_> = read.iter().map(|volume| volume.number().unwrap()).collect();
    assert_eq!(numbers, (0..volumes.len() as u64).collect::<Vec<_>>());
    let last = read.last().unwrap();
    assert_eq!((last.continues(), last.is_volume()), (Some(false), true));
    assert_eq!(read[0].continues(), Some(true));
}

#[test]
fn maps_stored_files_over_volumes() {
    check(&V5, None, 2200, &["dir/\u{fc}\u{4e16}.txt"]);
    check(&V4, None, 2200, &["dir/\u{fc}\u{4e16}.txt"]);
    check(&OLD_V4, None, 1000, &[]);
}

#[test]
fn opens_encrypted_files_and_headers() {
    for volumes in [P5, H5, P4, H4] {
        check(&volumes, Some("secret"), 1000, &[]);
    }
}

#[test]
fn tells_what_a_password_would_do() {
    for volume in [P5[0], P4[0]] {
        assert_eq!(read(volume, None).unwrap().entries()[0].seal, Seal::Locked);
    }
    assert_eq!(read(H5[0], None).unwrap_err(), Error::Encrypted("rar5"));
    assert_eq!(read(H4[0], None).unwrap_err(), Error::Encrypted("rar4"));
    for volume in [H5[0], P5[0]] {
        assert_eq!(
            read(volume, Some("wrong")).unwrap_err(),
            Error::WrongPassword("rar5")
        );
    }
    assert_eq!(
        read(H4[0], Some("wrong")).unwrap_err(),
        Error::WrongPassword("rar4")
    );
    let long = "x".repeat(29);
    assert!(matches!(
        read(H4[0], Some(&long)),
        Err(Error::Unsupported { .. })
    ));
    assert_eq!(
        format!(
            "{:?}",
            read(P5[0], Some("secret")).unwrap().entries()[0].seal
        ),
        "Open(Cipher(AES-256))"
    );
}

#[test]
fn tells_compressed_files() {
    let volume = read(fixture!("c5.rar"), None).unwrap();
    assert_eq!(volume.entries()[0].method, Method::Compressed);
    assert!(!volume.is_volume());
    let got = members(&sources(&[volume])).unwrap();
    assert_eq!((got.files.len(), got.unread), (1, None));
}

#[test]
fn reads_on_as_bytes_arrive() {
    for (bytes, password) in [
        (V5[2], None),
        (V4[2], None),
        (H5[0], Some("secret")),
        (H4[0], Some("secret")),
    ] {
        let whole = read(bytes, password).unwrap();
        // Byte by byte, as it asks for them.
        let mut here = Sparse::new(Some(bytes.len() as u64));
        let (mut volume, mut keys, mut asked) = (Volume::new(), keys(password), 0);
        while let Step::Need(Need { offset, len }) = volume.advance(&here, &mut keys).unwrap() {
            let range = offset as usize..(offset + len) as usize;
            here.insert(offset, bytes[range].to_vec());
            asked += len;
        }
        assert_eq!(volume.entries(), whole.entries());
        let data: u64 = whole.entries().iter().map(|entry| entry.len).sum();
        assert!(asked <= bytes.len() as u64 - data, "asks for headers alone");
    }
}

#[test]
fn the_first_article_is_enough_to_begin() {
    let mut here = Sparse::new(None);
    here.insert(0, V5[0][..200].to_vec());
    let mut volume = Volume::new();
    let step = volume.advance(&here, &mut Keys::default()).unwrap();
    let entry = &volume.entries()[0];
    assert_eq!((&*entry.name, entry.size), ("long.mkv", Some(2200)));
    let end = entry.offset + entry.len;
    assert!(matches!(step, Step::Need(Need { offset, .. }) if offset == end));
}

#[test]
fn refuses_what_leads_nowhere() {
    let corrupt = |bytes: &[u8]| matches!(read(bytes, None), Err(Error::Corrupt { .. }));
    assert!(corrupt(b"no archive at all"));
    assert!(corrupt(b"Rar!"));
    assert!(corrupt(&V5[0][..300]), "data behind the end");
    assert!(corrupt(&V4[0][..300]), "data behind the end");
    let mut flipped = V5[0].to_vec();
    flipped[40] ^= 1;
    assert!(corrupt(&flipped), "checksum");
    // A file of RAR4 whose data would end at offset 2^64 and more.
    let mut endless = b"Rar!\x1a\x07\x00".to_vec();
    let mut header = vec![0x74, 0x00, 0x81, 0x28, 0x00];
    header.extend([0xff; 8]);
    header.extend([0; 10]);
    header.extend([0x30, 0, 0, 0, 0, 0, 0]);
    header.extend([0xff; 8]);
    header.truncate(38);
    endless.extend(((crc32fast::hash(&header) & 0xffff) as u16).to_le_bytes());
    endless.extend(header);
    assert!(corrupt(&endless));
    // The header of a main block that says it is empty.
    let mut empty = b"Rar!\x1a\x07\x01\x00".to_vec();
    empty.extend([0; 20]);
    assert!(corrupt(&empty));
}

/// Makes checksums right again after a change, so that the fields behind them are read.
fn reseal_v5(bytes: &mut [u8], at: usize) {
    let Some(&len) = bytes.get(at + 4) else {
        return;
    };
    let len = usize::from(len) + 1;
    if let Some(header) = bytes.get(at + 4..at + 4 + len) {
        let crc = crc32fast::hash(header).to_le_bytes();
        bytes[at..at + 4].copy_from_slice(&crc);
    }
}

proptest! {
    #[test]
    fn damaged_volumes_do_no_harm(at in 0usize..300, byte: u8, which in 0usize..4, len in 0usize..1000) {
        let source = [V5[0], V4[0], H5[0], H4[0]][which];
        let mut bytes = source[..source.len() - len.min(source.len())].to_vec();
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        if which == 0 {
            reseal_v5(&mut bytes, 8);
            reseal_v5(&mut bytes, 25);
        }
        let mut volume = Volume::new();
        let _ = volume.advance(bytes.as_slice(), &mut Keys::default());
        let _ = members(&sources(&[volume]));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), new: bool) {
        let signature: &[u8] = if new { b"Rar!\x1a\x07\x01\x00" } else { b"Rar!\x1a\x07\x00" };
        let _ = read(&[signature, &bytes].concat(), None);
        let _ = unicode::decode_name(&bytes, true);
    }
}
