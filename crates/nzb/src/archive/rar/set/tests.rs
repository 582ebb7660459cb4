//! Joining, on volumes described by hand.

use super::*;
use crate::archive::rar::{HeaderSeal, Main};
use crate::archive::{Method, Seal};

const HEADER: u64 = 100;

fn entry(name: &str, size: u64, len: u64, is_continued: bool, continues: bool) -> Entry {
    Entry {
        name: name.to_owned(),
        is_file: true,
        size: Some(size),
        method: Method::Stored,
        seal: Seal::None,
        offset: HEADER,
        len,
        is_continued,
        continues,
        crc: None,
    }
}

fn volume(number: u64, entries: Vec<Entry>) -> Volume {
    Volume {
        version: Some(Version::V5),
        at: 0,
        headers: 0,
        seal: HeaderSeal::None,
        main: Main {
            is_volume: true,
            is_first: Some(number == 0),
            number: Some(number),
            seals_the_rest: false,
            padding: None,
        },
        entries,
        end: None,
        is_done: true,
    }
}

fn join(volumes: &[Option<Volume>]) -> Result<Members, Error> {
    let sources: Vec<_> = volumes
        .iter()
        .map(|volume| Source {
            volume: volume.as_ref(),
            size: Some(1200),
        })
        .collect();
    members(&sources)
}

fn extents(member: &Member) -> Vec<(usize, u64, u64, bool)> {
    let exact = |e: &Extent| e.certainty == Certainty::Exact;
    member
        .extents
        .iter()
        .map(|e| (e.volume, e.offset, e.len, exact(e)))
        .collect()
}

#[test]
fn two_volumes_and_the_last_map_all_between() {
    let size = 1000 + 3 * 1001 + 7;
    let set = [
        Some(volume(0, vec![entry("a", size, 1000, false, true)])),
        Some(volume(1, vec![entry("a", size, 1001, true, true)])),
        None,
        None,
        Some(volume(
            4,
            vec![
                entry("a", size, 7, true, false),
                entry("b", 9, 9, false, false),
            ],
        )),
    ];
    let got = join(&set).unwrap();
    assert_eq!(got.unread, Some(2));
    assert_eq!(
        extents(&got.files[0]),
        [
            (0, 100, 1000, true),
            (1, 100, 1001, true),
            (2, 100, 1001, false),
            (3, 100, 1001, false),
            (4, 100, 7, true)
        ]
    );
    assert!(got.files[0].is_mapped());
    assert_eq!(got.files[1].name, "b");
    // Without the last one it holds the rest.
    let got = join(&[&set[..4], &[None]].concat()).unwrap();
    assert_eq!(extents(&got.files[0])[4], (4, 100, 7, false));
    assert_eq!((got.files.len(), got.unread), (1, Some(2)));
}

#[test]
fn the_number_makes_headers_longer() {
    let size = 1000 + 1001 * 127 + 1000;
    let mut set = vec![
        Some(volume(0, vec![entry("a", size, 1000, false, true)])),
        Some(volume(1, vec![entry("a", size, 1001, true, true)])),
    ];
    set.resize(129, None);
    let got = join(&set).unwrap();
    let extents = extents(&got.files[0]);
    assert_eq!(extents[127], (127, 100, 1001, false));
    assert_eq!(extents[128], (128, 101, 1000, false));
    assert!(got.files[0].is_mapped());
    // In encrypted headers the byte goes into the padding, or takes a block.
    for (padding, growth) in [(1, 0), (0, 16)] {
        let padded =
            |volume: &mut Option<Volume>| volume.as_mut().unwrap().main.padding = Some(padding);
        set[..2].iter_mut().for_each(padded);
        let got = join(&set).unwrap();
        assert_eq!(got.files[0].extents[128].offset, 100 + growth);
    }
}

#[test]
fn one_volume_says_nothing_of_the_next() {
    let got = join(&[
        Some(volume(0, vec![entry("a", 5000, 1000, false, true)])),
        None,
        None,
    ])
    .unwrap();
    assert_eq!((got.files.len(), got.unread), (1, Some(1)));
    assert!(!got.files[0].is_mapped());
    assert_eq!(extents(&got.files[0]), [(0, 100, 1000, true)]);
}

#[test]
fn a_wrong_inference_is_taken_back() {
    let size = 1000 + 1001 + 900 + 7;
    let got = join(&[
        Some(volume(0, vec![entry("a", size, 1000, false, true)])),
        Some(volume(1, vec![entry("a", size, 1001, true, true)])),
        None,
        Some(volume(3, vec![entry("a", size, 7, true, false)])),
    ]);
    let got = got.unwrap();
    assert_eq!(extents(&got.files[0]).len(), 2);
    assert_eq!(got.unread, Some(2));
}

#[test]
fn volumes_that_do_not_follow_are_an_error() {
    let a = |continues| Some(volume(0, vec![entry("a", 2000, 1000, false, continues)]));
    let b = Some(volume(1, vec![entry("b", 2000, 1000, true, false)]));
    assert!(join(&[a(true), b.clone()]).is_err(), "another file goes on");
    assert!(join(&[a(true), a(true)]).is_err(), "the same volume twice");
    assert!(join(&[a(false)]).is_err(), "pieces that do not add up");
    assert!(
        join(&[a(true)])
            .unwrap()
            .files
            .iter()
            .all(|file| !file.is_mapped())
    );
    assert_eq!(
        join(&[b]).unwrap().files.len(),
        0,
        "a file without its beginning"
    );
}

#[test]
fn a_season_goes_on_in_the_volume_where_an_episode_ends() {
    let set = [
        Some(volume(0, vec![entry("a", 1500, 1000, false, true)])),
        Some(volume(
            1,
            vec![
                entry("a", 1500, 500, true, false),
                entry("b", 1400, 400, false, true),
            ],
        )),
        Some(volume(2, vec![entry("b", 1400, 1000, true, false)])),
    ];
    let got = join(&set).unwrap();
    assert_eq!((got.files.len(), got.unread), (2, None));
    assert!(got.files.iter().all(Member::is_mapped));
}
