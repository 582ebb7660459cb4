//! From posts to films: volumes are cut into articles, encoded, decoded, learned, walked and joined,
//! and what comes out is compared with what went in.

use aes::Aes256;
use base::Redacted;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use proptest::prelude::*;

use super::*;
use crate::archive::rar::{self, Volume};
use crate::archive::{Bytes, Cipher, Extent, Keys, Step, seven};
use crate::document::Segment;
use crate::nntp::MessageId;
use crate::yenc::{Decoder, Part, encode};

const V5: [&[u8]; 3] = [
    include_bytes!("../archive/fixtures/v5.part1.rar"),
    include_bytes!("../archive/fixtures/v5.part2.rar"),
    include_bytes!("../archive/fixtures/v5.part3.rar"),
];
const P4: [&[u8]; 2] = [
    include_bytes!("../archive/fixtures/p4.part1.rar"),
    include_bytes!("../archive/fixtures/p4.part2.rar"),
];
const SEVEN: &[u8] = include_bytes!("../archive/fixtures/p.7z");

const PART_BYTES: usize = 90;

fn film(len: u64) -> Vec<u8> {
    let rest = (4..len).map(|i| ((i * i * 31 + i * 7) >> 3) as u8);
    [0x1a, 0x45, 0xdf, 0xa3].into_iter().chain(rest).collect()
}

/// A post: of each file its articles as a server has them, and what was learned of them.
struct Post {
    files: Vec<(Vec<Vec<u8>>, Posted, u64)>,
}

impl Post {
    /// Posts the files; of each the first article is fetched, as an import does.
    fn new(files: &[&[u8]]) -> Self {
        let files = files.iter().map(|file| {
            let total = file.len().div_ceil(PART_BYTES) as u32;
            let mut begin = 0;
            let mut segments = Vec::new();
            let mut articles = Vec::new();
            for (index, data) in file.chunks(PART_BYTES).enumerate() {
                let number = index as u32 + 1;
                let end = begin + data.len() as u64;
                let part = Part {
                    name: "obfuscated".to_owned(),
                    file_size: file.len() as u64,
                    number: Some(number),
                    total: Some(total),
                    begin,
                    end,
                };
                begin = end;
                let id = MessageId::new(&format!("{number}@x")).unwrap();
                segments.push(Segment {
                    id,
                    number,
                    bytes: 0,
                });
                articles.push(encode(&part, data));
            }
            let mut posted = Posted::new(&segments);
            let (part, _) = decode(&articles[0]);
            posted.learn(0, &part).unwrap();
            (articles, posted, part.file_size)
        });
        Self {
            files: files.collect(),
        }
    }

    fn layouts(&self) -> Vec<Layout> {
        let sizes = self.files.iter().map(|(_, _, size)| *size);
        sizes
            .enumerate()
            .map(|(i, size)| Layout::posted(i as u32, size))
            .collect()
    }

    fn read(&self, layout: &Layout, range: Range<u64>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in layout.cut(range.clone()) {
            assert_eq!(piece.at, range.start + out.len() as u64);
            let bytes = piece.offset..piece.offset + piece.len;
            match &piece.source {
                Source::Posted(file) => {
                    let (articles, posted, _) = &self.files[*file as usize];
                    for slice in posted.slices(bytes) {
                        let (part, data) = decode(&articles[slice.segment.unwrap()]);
                        assert_eq!(part.begin + slice.offset, slice.at, "as inferred");
                        let from = slice.offset as usize;
                        out.extend_from_slice(&data[from..from + slice.len as usize]);
                    }
                }
                Source::Sealed(sealed) => {
                    let (stored, mut opener) = sealed.open(bytes);
                    let encrypted = self.read(sealed.stored(), stored);
                    // As articles arrive: in pieces that know nothing of blocks.
                    encrypted
                        .chunks(37)
                        .for_each(|chunk| opener.push(chunk, &mut out));
                }
            }
        }
        out
    }
}

fn decode(article: &[u8]) -> (Part, Vec<u8>) {
    let mut decoder = Decoder::new();
    let mut data = vec![0; article.len()];
    let progress = decoder.decode(article, &mut data);
    data.truncate(progress.written);
    (decoder.finish().unwrap().clone(), data)
}

/// A file through its layout, as archive parsers read it.
struct View<'a>(&'a Post, &'a Layout);

impl Bytes for View<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let bytes = self.0.read(self.1, offset..offset + buffer.len() as u64);
        buffer[..bytes.len()].copy_from_slice(&bytes);
        bytes.len()
    }

    fn len(&self) -> Option<u64> {
        Some(self.1.len())
    }
}

fn keys() -> Keys {
    Keys::new(Some(Redacted::new("secret".to_owned())))
}

/// The layout of the first file in a RAR set of these volumes.
fn first_in_rar(post: &Post, volumes: &[Layout]) -> Layout {
    let read: Vec<_> = volumes
        .iter()
        .map(|layout| {
            let mut volume = Volume::new();
            assert_eq!(
                volume.advance(&View(post, layout), &mut keys()),
                Ok(Step::Done(()))
            );
            volume
        })
        .collect();
    let source = |volume| rar::Source {
        volume: Some(volume),
        size: None,
    };
    let sources: Vec<_> = read.iter().map(source).collect();
    let members = rar::members(&sources).unwrap();
    let volumes: Vec<_> = volumes.iter().map(Some).collect();
    Layout::member(&members.files[0], &volumes).unwrap()
}

/// Every range of a few lengths, and the whole.
#[track_caller]
fn check(post: &Post, layout: &Layout, expected: &[u8]) {
    let len = expected.len() as u64;
    assert_eq!((layout.len(), layout.certainty()), (len, Certainty::Exact));
    assert!(post.read(layout, 0..len) == expected);
    for start in (0..len).step_by(7) {
        for take in [1, 15, 16, 33, 200] {
            let end = (start + take).min(len);
            let got = post.read(layout, start..end);
            assert!(
                got == expected[start as usize..end as usize],
                "{start}..{end}"
            );
        }
    }
}

#[test]
fn a_plain_file() {
    let post = Post::new(&[&film(1234)]);
    check(&post, &post.layouts()[0], &film(1234));
}

#[test]
fn a_split_file() {
    let film = film(1000);
    let post = Post::new(&[&film[..300], &film[300..600], &film[600..]]);
    check(&post, &Layout::joined(&post.layouts()).unwrap(), &film);
}

#[test]
fn a_rar_set() {
    let post = Post::new(&V5);
    let layout = first_in_rar(&post, &post.layouts());
    assert_eq!(layout.pieces().len(), 3);
    check(&post, &layout, &film(2200));
}

#[test]
fn an_encrypted_rar_set() {
    let post = Post::new(&P4);
    check(&post, &first_in_rar(&post, &post.layouts()), &film(1000));
}

#[test]
fn a_split_encrypted_7z() {
    let post = Post::new(&[&SEVEN[..500], &SEVEN[500..]]);
    let whole = Layout::joined(&post.layouts()).unwrap();
    let Ok(Step::Done(members)) = seven::members(&View(&post, &whole), &mut keys()) else {
        panic!("all is here")
    };
    check(
        &post,
        &Layout::member(&members[0], &[Some(&whole)]).unwrap(),
        &film(1000),
    );
}

/// A stored file of an outer archive, whose extents are given as volume, offset and length.
fn stored(size: u64, seal: Seal, extents: &[(usize, u64, u64)]) -> Member {
    let extent = |&(volume, offset, len): &(usize, u64, u64)| Extent {
        volume,
        offset,
        len,
        certainty: Certainty::Exact,
    };
    Member {
        name: "inner".to_owned(),
        size,
        method: Method::Stored,
        seal,
        skip: 0,
        extents: extents.iter().map(extent).collect(),
        crc: None,
    }
}

#[test]
fn rar_in_rar() {
    // The inner volumes lie in two outer ones, the second of them across both.
    let (a, b) = V5[1].split_at(400);
    let first = [&b"outer"[..], V5[0], b"between", a].concat();
    let second = [&b"head"[..], b, b"-", V5[2], b"end"].concat();
    let post = Post::new(&[&first, &second]);
    let outer = post.layouts();
    let outer: Vec<_> = outer.iter().map(Some).collect();
    let lens = V5.map(|volume| volume.len() as u64);
    let place = [
        stored(lens[0], Seal::None, &[(0, 5, lens[0])]),
        stored(
            lens[1],
            Seal::None,
            &[(0, 12 + lens[0], 400), (1, 4, lens[1] - 400)],
        ),
        stored(lens[2], Seal::None, &[(1, 5 + lens[1] - 400, lens[2])]),
    ];
    let inner: Vec<_> = place
        .iter()
        .map(|m| Layout::member(m, &outer).unwrap())
        .collect();
    let layout = first_in_rar(&post, &inner);
    assert!(
        layout
            .pieces()
            .iter()
            .all(|p| matches!(p.source, Source::Posted(_))),
        "flat"
    );
    check(&post, &layout, &film(2200));
}

#[test]
fn an_encrypted_rar_in_an_encrypted_archive() {
    let outer: Vec<Vec<u8>> = P4
        .iter()
        .map(|volume| {
            let mut data = volume.to_vec();
            data.resize(data.len().next_multiple_of(16), 0);
            let len = data.len();
            cbc::Encryptor::<Aes256>::new(&[3; 32].into(), &[4; 16].into())
                .encrypt_padded::<NoPadding>(&mut data, len)
                .unwrap();
            data
        })
        .collect();
    let files: Vec<_> = outer.iter().map(Vec::as_slice).collect();
    let post = Post::new(&files);
    let seal = Seal::Open(Cipher::aes256([3; 32], [4; 16]));
    let inner: Vec<_> = post
        .layouts()
        .iter()
        .zip(P4)
        .map(|(layout, clear)| {
            let member = stored(clear.len() as u64, seal.clone(), &[(0, 0, layout.len())]);
            Layout::member(&member, &[Some(layout)]).unwrap()
        })
        .collect();
    check(&post, &first_in_rar(&post, &inner), &film(1000));
}

#[test]
fn what_cannot_be_mapped_says_why() {
    let volume = Layout::posted(0, 100);
    let map = |member: &Member| Layout::member(member, &[Some(&volume), None]);
    let outside = |volume, offset, end| {
        Err(Unmappable::Outside {
            volume,
            offset,
            end,
        })
    };
    assert_eq!(
        map(&stored(50, Seal::None, &[(0, 60, 50)])),
        outside(0, 60, 110)
    );
    assert_eq!(
        map(&stored(50, Seal::None, &[(1, 0, 50)])),
        outside(1, 0, 50)
    );
    assert_eq!(
        map(&stored(50, Seal::None, &[(2, 0, 50)])),
        outside(2, 0, 50)
    );
    assert_eq!(
        map(&stored(50, Seal::None, &[(0, u64::MAX - 9, 50)])),
        outside(0, u64::MAX - 9, u64::MAX)
    );
    assert_eq!(
        map(&stored(50, Seal::None, &[(0, 0, 40)])),
        Err(Unmappable::Incomplete {
            covered: 40,
            wanted: 50
        })
    );
    assert_eq!(
        map(&stored(16, Seal::Locked, &[(0, 0, 16)])),
        Err(Unmappable::Locked)
    );
    let compressed = Member {
        method: Method::Compressed,
        ..stored(50, Seal::None, &[(0, 0, 50)])
    };
    assert_eq!(map(&compressed), Err(Unmappable::Compressed));
}

#[test]
fn encryptions_do_not_go_on_for_ever() {
    let seal = Seal::Open(Cipher::aes256([0; 32], [0; 16]));
    let member = stored(16, seal, &[(0, 0, 16)]);
    let mut layout = Layout::posted(0, 16);
    for _ in 0..DEPTH_MAX {
        layout = Layout::member(&member, &[Some(&layout)]).unwrap();
    }
    assert!(matches!(
        Layout::member(&member, &[Some(&layout)]),
        Err(Unmappable::TooLarge { .. })
    ));
}

#[test]
fn inferred_places_stay_marked() {
    let mut member = stored(50, Seal::None, &[(0, 0, 20), (0, 30, 30)]);
    member.extents[1].certainty = Certainty::Provisional;
    let layout = Layout::member(&member, &[Some(&Layout::posted(0, 100))]).unwrap();
    assert_eq!(layout.certainty(), Certainty::Provisional);
    assert_eq!(layout.len(), 50, "the length is exact all the same");
    let cut: Vec<_> = layout
        .cut(10..25)
        .map(|p| (p.at, p.offset, p.len, p.certainty))
        .collect();
    assert_eq!(
        cut,
        [
            (10, 10, 10, Certainty::Exact),
            (20, 30, 5, Certainty::Provisional)
        ]
    );
    assert_eq!(
        Layout::joined([&layout]).unwrap().certainty(),
        Certainty::Provisional
    );
}

proptest! {
    /// Cuts of a layout equal those of the bytes that it stands for.
    #[test]
    fn cutting_and_joining_keep_every_byte(
        extents in proptest::collection::vec((0usize..3, 0u64..80, 1u64..20), 0..8),
        from in 0u64..200, len in 0u64..200,
    ) {
        let volumes = [0, 1, 2].map(|file| Layout::posted(file, 100));
        let volumes: Vec<_> = volumes.iter().map(Some).collect();
        let size = extents.iter().map(|(_, _, len)| len).sum();
        let layout = Layout::member(&stored(size, Seal::None, &extents), &volumes).unwrap();
        let all: Vec<(usize, u64)> = extents.iter().flat_map(|&(v, o, l)| (o..o + l).map(move |b| (v, b))).collect();
        let mut got = Vec::new();
        for piece in layout.cut(from..from + len) {
            prop_assert_eq!(piece.at, from + got.len() as u64);
            let Source::Posted(file) = piece.source else { panic!("nothing is sealed") };
            got.extend((piece.offset..piece.offset + piece.len).map(|b| (file as usize, b)));
        }
        let from = (from as usize).min(all.len());
        let to = (from + len as usize).min(all.len());
        prop_assert_eq!(&got[..], &all[from..to]);
    }
}
