//! What stands in for bytes that no provider has: exactly as many, and such that a player passes over
//! them.

use nzb::archive::Kind;

/// Bytes of an EBML Void element's head in its longest form: the id, and a size of eight bytes.
const VOID_HEAD: u64 = 9;

/// A hole in a file that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Where it begins in the file.
    pub(crate) start: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// What the file is.
    pub(crate) kind: Option<Kind>,
}

impl Hole {
    /// The byte at `at` of the file. It depends on nothing else, so that every range shows the same.
    fn byte(&self, at: u64) -> u8 {
        match self.kind {
            Some(Kind::Matroska) => self.void(at),
            Some(Kind::Ts) => null_packet(at % 188),
            Some(Kind::M2ts) => (at % 192).checked_sub(4).map_or(0, null_packet),
            _ => 0,
        }
    }

    /// One Void element (RFC 8794 §11.3.2) as long as the hole; in one too short for its head, the short
    /// form, or zeros.
    fn void(&self, at: u64) -> u8 {
        let (len, at) = (self.end - self.start, at - self.start);
        if len >= VOID_HEAD {
            let size = (len - VOID_HEAD).to_be_bytes();
            return match at {
                0 => 0xec,
                1 => 0x01,
                // The first byte of the eight is the length's marker; sizes are far below 2^56.
                2..9 => size[at as usize - 1],
                _ => 0,
            };
        }
        match (len, at) {
            (2.., 0) => 0xec,
            // One byte of size: the marker, and fewer than nine bytes.
            (2.., 1) => 0x80 | (len - 2) as u8,
            _ => 0,
        }
    }

    /// Writes what stands at `at` and behind it.
    pub(crate) fn fill(&self, at: u64, out: &mut [u8]) {
        for (position, byte) in (at..).zip(out) {
            *byte = self.byte(position);
        }
    }
}

/// A byte of a transport stream's null packet (ISO/IEC 13818-1 §2.4.1.4).
fn null_packet(at: u64) -> u8 {
    match at {
        0 => 0x47,
        1 => 0x1f,
        2 => 0xff,
        3 => 0x10,
        _ => 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, start: u64, end: u64, expected: &[u8]) {
        let hole = Hole {
            start,
            end,
            kind: Some(kind),
        };
        let mut whole = vec![1; (end - start) as usize];
        hole.fill(start, &mut whole);
        assert_eq!(&whole[..expected.len()], expected);
        // Any part is the same as that part of the whole.
        for at in start..end {
            let mut part = [1];
            hole.fill(at, &mut part);
            assert_eq!(part[0], whole[(at - start) as usize]);
        }
    }

    #[test]
    fn a_hole_in_matroska_is_a_void_element() {
        check(
            Kind::Matroska,
            100,
            1124,
            &[0xec, 1, 0, 0, 0, 0, 0, 3, 0xf7, 0, 0],
        );
        check(Kind::Matroska, 5, 8, &[0xec, 0x81, 0]);
        check(Kind::Matroska, 5, 6, &[0]);
    }

    #[test]
    fn a_hole_in_a_transport_stream_is_null_packets_on_its_grid() {
        check(Kind::Ts, 187, 192, &[0xff, 0x47, 0x1f, 0xff, 0x10]);
        check(Kind::M2ts, 191, 198, &[0xff, 0, 0, 0, 0, 0x47, 0x1f]);
        check(Kind::Mp4, 0, 2, &[0, 0]);
    }
}
