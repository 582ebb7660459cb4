//! The outermost boxes of fragmented MP4 (ISO/IEC 14496-12 §4.2, RFC 8216 §3.3): is it an
//! initialization section, is it a whole media segment.
//!
//! Looks at box headers only; what is inside a box is not read.

use std::fmt;

/// A box type: four characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoxType(pub [u8; 4]);

impl BoxType {
    /// Whether real boxes are called so: printable ASCII.
    fn is_plausible(self) -> bool {
        self.0.iter().all(|byte| (b' '..=b'~').contains(byte))
    }
}

impl fmt::Display for BoxType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for BoxType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A box as its header describes it; it lies wholly inside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopBox {
    /// Its type.
    pub kind: BoxType,
    /// Where its header starts.
    pub offset: usize,
    /// Where it ends.
    pub end: usize,
}

/// What is wrong with a body that should be boxes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBoxes {
    /// No box can start with these bytes.
    #[error("no box at byte {offset}")]
    NoBox {
        /// Where one should start.
        offset: usize,
    },
    /// The body ends inside a box.
    #[error("truncated {kind} box at byte {offset}")]
    Truncated {
        /// The box.
        kind: BoxType,
        /// Where it starts.
        offset: usize,
    },
    /// The box says that it is smaller than its own header.
    #[error("{kind} box at byte {offset} says it is {size} bytes long")]
    Size {
        /// The box.
        kind: BoxType,
        /// Where it starts.
        offset: usize,
        /// What it says.
        size: u64,
    },
    /// A box that has to be there is not.
    #[error("no {kind} box")]
    Missing {
        /// The box.
        kind: BoxType,
    },
    /// A fragment's header is not followed by its data.
    #[error("moof box at byte {offset} has no mdat box")]
    NoData {
        /// Where the header starts.
        offset: usize,
    },
}

impl BadBoxes {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        base::ErrorKind::Corrupt
    }
}

/// The outermost boxes of `body` in order; the walk ends after the first error.
pub fn boxes(body: &[u8]) -> impl Iterator<Item = Result<TopBox, BadBoxes>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < body.len()).then(|| {
            let next = read(body, at);
            at = next.as_ref().map_or(body.len(), |top| top.end);
            next
        })
    })
}

/// Checks that `body` is an initialization section (`EXT-X-MAP`): whole boxes, `moov` among them.
pub fn check_init(body: &[u8]) -> Result<(), BadBoxes> {
    let mut has_movie = false;
    for top in boxes(body) {
        has_movie |= top?.kind == MOOV;
    }
    if has_movie {
        Ok(())
    } else {
        Err(BadBoxes::Missing { kind: MOOV })
    }
}

/// Checks that `body` is a media segment: whole boxes, at least one `moof`, each followed by an
/// `mdat`. A segment may bring its own initialization section.
pub fn check_segment(body: &[u8]) -> Result<(), BadBoxes> {
    let mut has_fragment = false;
    let mut waiting: Option<TopBox> = None;
    for top in boxes(body) {
        let top = top?;
        match top.kind {
            MOOF if waiting.is_some() => break,
            MOOF => {
                has_fragment = true;
                waiting = Some(top);
            }
            MDAT => waiting = None,
            _ => {}
        }
    }
    match waiting {
        Some(TopBox { offset, .. }) => Err(BadBoxes::NoData { offset }),
        None if has_fragment => Ok(()),
        None => Err(BadBoxes::Missing { kind: MOOF }),
    }
}

/// Whether `body` starts with a box that an initialization section or a media segment may start
/// with.
pub(crate) fn starts_with_box(body: &[u8]) -> bool {
    const FIRST: [&[u8; 4]; 9] = [
        b"styp", b"moof", b"sidx", b"emsg", b"prft", b"ftyp", b"mdat", b"moov", b"free",
    ];
    body.get(4..8)
        .is_some_and(|kind| FIRST.iter().any(|first| *first == kind))
}

const MOOV: BoxType = BoxType(*b"moov");
const MOOF: BoxType = BoxType(*b"moof");
const MDAT: BoxType = BoxType(*b"mdat");

fn read(body: &[u8], offset: usize) -> Result<TopBox, BadBoxes> {
    let rest = &body[offset..];
    let Some((&[a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() else {
        return Err(BadBoxes::NoBox { offset });
    };
    let kind = BoxType(kind);
    if !kind.is_plausible() {
        return Err(BadBoxes::NoBox { offset });
    }
    let truncated = BadBoxes::Truncated { kind, offset };
    let (size, header_len) = match u32::from_be_bytes([a, b, c, d]) {
        // To the end of the file.
        0 => (rest.len() as u64, 8),
        1 => match after.first_chunk() {
            Some(size) => (u64::from_be_bytes(*size), 16),
            None => return Err(truncated),
        },
        size => (size.into(), 8),
    };
    if size < header_len {
        return Err(BadBoxes::Size { kind, offset, size });
    }
    match usize::try_from(size) {
        Ok(size) if size <= rest.len() => Ok(TopBox {
            kind,
            offset,
            end: offset + size,
        }),
        _ => Err(truncated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(kind: &str, content: usize) -> Vec<u8> {
        let mut bytes = (8 + content as u32).to_be_bytes().to_vec();
        bytes.extend(kind.as_bytes());
        bytes.resize(8 + content, 0);
        bytes
    }

    fn body(boxes: &[(&str, usize)]) -> Vec<u8> {
        boxes
            .iter()
            .flat_map(|(kind, content)| boxed(kind, *content))
            .collect()
    }

    #[track_caller]
    fn check(check: fn(&[u8]) -> Result<(), BadBoxes>, body: &[u8], expected: Result<(), &str>) {
        let got = check(body).map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(str::to_owned));
    }

    #[test]
    fn initialization_sections() {
        check(check_init, &body(&[("ftyp", 16), ("moov", 700)]), Ok(()));
        check(check_init, &body(&[("ftyp", 16)]), Err("no moov box"));
        check(
            check_init,
            &body(&[("ftyp", 16), ("moov", 700)])[..99],
            Err("truncated moov box at byte 24"),
        );
        check(check_init, b"", Err("no moov box"));
    }

    #[test]
    fn media_segments() {
        let whole = body(&[("styp", 16), ("sidx", 44), ("moof", 100), ("mdat", 900)]);
        check(check_segment, &whole, Ok(()));
        check(
            check_segment,
            &whole[..whole.len() - 1],
            Err("truncated mdat box at byte 184"),
        );
        check(
            check_segment,
            &[&whole[..], &[0; 3]].concat(),
            Err("no box at byte 1092"),
        );
        check(
            check_segment,
            &[&whole[..], &[0; 8]].concat(),
            Err("no box at byte 1092"),
        );
        let own_init = body(&[
            ("ftyp", 16),
            ("moov", 700),
            ("moof", 1),
            ("mdat", 1),
            ("mfra", 5),
        ]);
        check(check_segment, &own_init, Ok(()));
        check(check_segment, &body(&[("mdat", 5)]), Err("no moof box"));
        let no_data = body(&[
            ("moof", 8),
            ("mdat", 8),
            ("moof", 8),
            ("moof", 8),
            ("mdat", 8),
        ]);
        check(
            check_segment,
            &no_data,
            Err("moof box at byte 32 has no mdat box"),
        );
    }

    #[test]
    fn large_and_open_sizes() {
        let mut large = vec![0, 0, 0, 1];
        large.extend(b"mdat");
        large.extend(20u64.to_be_bytes());
        large.extend([0; 4]);
        let fragment = [boxed("moof", 8), large.clone()].concat();
        check(check_segment, &fragment, Ok(()));
        check(
            check_segment,
            &fragment[..30],
            Err("truncated mdat box at byte 16"),
        );
        large[15] = 9;
        let small = [boxed("moof", 8), large.clone()].concat();
        check(
            check_segment,
            &small,
            Err("mdat box at byte 16 says it is 9 bytes long"),
        );
        large[8] = 0xff;
        check(check_segment, &large, Err("truncated mdat box at byte 0"));
        large[3] = 0;
        check(check_segment, &[boxed("moof", 8), large].concat(), Ok(()));
    }

    proptest! {
        #[test]
        fn boxes_follow_each_other_without_gap(
            sizes in prop::collection::vec(0usize..60, 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes: Vec<u8> = sizes.iter().flat_map(|size| boxed("free", *size)).collect();
            bytes.extend(noise);
            let mut at = 0;
            for top in boxes(&bytes).map_while(Result::ok) {
                prop_assert_eq!(top.offset, at);
                prop_assert!(top.end >= at + 8 && top.end <= bytes.len());
                at = top.end;
            }
        }
    }
}
