//! Archives written by `7z` 26.02, and damaged copies of them.

use base::Redacted;
use proptest::prelude::*;

use super::*;
use crate::archive::{Need, Sparse};

const PLAIN: &[u8] = include_bytes!("../fixtures/s.7z");
const SEALED: &[u8] = include_bytes!("../fixtures/p.7z");
const SEALED_HEADERS: &[u8] = include_bytes!("../fixtures/h.7z");
const COMPRESSED: &[u8] = include_bytes!("../fixtures/c.7z");

fn film() -> Vec<u8> {
    let rest = (4..1000_u64).map(|i| ((i * i * 31 + i * 7) >> 3) as u8);
    [0x1a, 0x45, 0xdf, 0xa3].into_iter().chain(rest).collect()
}

fn read(bytes: &[u8], password: Option<&str>) -> Result<Vec<Member>, Error> {
    let mut keys = Keys::new(password.map(|text| Redacted::new(text.to_owned())));
    match members(bytes, &mut keys)? {
        Step::Done(members) => Ok(members),
        Step::Need(need) => panic!("all is here, yet {need:?}"),
    }
}

fn extract(member: &Member, archive: &[u8]) -> Vec<u8> {
    assert!(member.is_mapped());
    let Extent { offset, len, .. } = member.extents[0];
    let mut out = archive[offset as usize..(offset + len) as usize].to_vec();
    if let Seal::Open(cipher) = &member.seal {
        cipher.decrypt(None, &mut out);
        out.drain(..member.skip as usize);
        out.truncate(member.size as usize);
    }
    out
}

#[track_caller]
fn check(archive: &[u8], password: Option<&str>) {
    let members = read(archive, password).unwrap();
    for member in &members {
        let bytes = extract(member, archive);
        assert_eq!(member.crc, Some(crc32fast::hash(&bytes)), "{}", member.name);
        match &*member.name {
            "film.mkv" => assert!(bytes == film()),
            "dir/\u{fc}\u{4e16}.txt" => assert_eq!(bytes, b"hello there\n"),
            other => panic!("{other}"),
        }
    }
    assert!(members.iter().any(|member| member.name == "film.mkv"));
}

#[test]
fn maps_stored_files() {
    check(PLAIN, None);
    assert_eq!(read(PLAIN, None).unwrap().len(), 2);
}

#[test]
fn opens_encrypted_files_and_headers() {
    check(SEALED, Some("secret"));
    check(SEALED_HEADERS, Some("secret"));
    assert_eq!(read(SEALED_HEADERS, Some("secret")).unwrap().len(), 2);
}

#[test]
fn tells_what_a_password_would_do() {
    assert_eq!(read(SEALED, None).unwrap()[0].seal, Seal::Locked);
    assert_eq!(read(SEALED_HEADERS, None), Err(Error::Encrypted("7z")));
    assert_eq!(
        read(SEALED_HEADERS, Some("wrong")),
        Err(Error::WrongPassword("7z"))
    );
}

#[test]
fn tells_compressed_files() {
    let members = read(COMPRESSED, None).unwrap();
    assert_eq!((members.len(), members[0].method), (1, Method::Compressed));
}

#[test]
fn asks_for_its_two_ends_alone() {
    let mut here = Sparse::new(Some(PLAIN.len() as u64));
    let mut asked = Vec::new();
    let found = loop {
        match members(&here, &mut Keys::default()).unwrap() {
            Step::Done(found) => break found,
            Step::Need(Need { offset, len }) => {
                here.insert(
                    offset,
                    PLAIN[offset as usize..(offset + len) as usize].to_vec(),
                );
                asked.push((offset, len));
            }
        }
    };
    assert_eq!(found, read(PLAIN, None).unwrap());
    assert_eq!(asked[0], (0, 32));
    assert!(
        asked[1..].iter().all(|(offset, _)| *offset >= 1012),
        "{asked:?}"
    );
}

#[test]
fn files_in_one_encrypted_run_start_within_blocks() {
    let clear: Vec<u8> = (0..96).collect();
    let mut sealed = clear.clone();
    let key = [7; 32];
    {
        use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
        cbc::Encryptor::<aes::Aes256>::new(&key.into(), &[9; 16].into())
            .encrypt_padded::<NoPadding>(&mut sealed, 96)
            .unwrap();
    }
    let place = Place {
        offset: 0,
        len: 96,
        method: Method::Stored,
        seal: Seal::Open(Cipher::aes256(key, [9; 16])),
    };
    for (at, size) in [(0, 5), (5, 20), (16, 1), (31, 40), (70, 26), (90, 1)] {
        let member = place.member("x", at, size, None).unwrap();
        assert_eq!(
            extract(&member, &sealed),
            clear[at as usize..(at + size) as usize],
            "{at}"
        );
    }
    assert!(place.member("x", 90, 10, None).is_err());
    assert!(place.member("x", u64::MAX - 3, 10, None).is_err());
}

#[test]
fn refuses_what_is_damaged() {
    let corrupt = |bytes: &[u8]| matches!(read(bytes, None), Err(Error::Corrupt { .. }));
    assert!(corrupt(b"7z"));
    assert!(corrupt(&[0; 40]));
    assert!(corrupt(&PLAIN[..PLAIN.len() - 1]));
    for at in 0..32 {
        let mut flipped = PLAIN.to_vec();
        flipped[at] ^= 0x10;
        assert!(corrupt(&flipped) || at == 6 || at == 7, "{at}");
    }
}

/// An archive with this header, all checksums right.
fn sealed(header: &[u8]) -> Vec<u8> {
    let mut start = 0_u64.to_le_bytes().to_vec();
    start.extend((header.len() as u64).to_le_bytes());
    start.extend(crc32fast::hash(header).to_le_bytes());
    let mut archive = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
    archive.extend(crc32fast::hash(&start).to_le_bytes());
    archive.extend(start);
    archive.extend(header);
    archive
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_header_does_no_harm(pieces in proptest::collection::vec(prop_oneof![
        3 => (0u8..0x1a).prop_map(|id| vec![id]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => proptest::collection::vec(any::<u8>(), 9).prop_map(|mut bytes| { bytes[0] = 0xff; bytes }),
        1 => Just(vec![0x06, 0x00, 0x01, 0x09, 0x05, 0x00]),
        1 => Just(vec![0x07, 0x0b, 0x01, 0x00, 0x01, 0x01, 0x00, 0x0c, 0x05, 0x00]),
    ], 0..20), encoded: bool) {
        let mut header = vec![if encoded { 0x17 } else { 0x01 }];
        header.extend(pieces.concat());
        let _ = members(sealed(&header).as_slice(), &mut Keys::default());
    }
}
