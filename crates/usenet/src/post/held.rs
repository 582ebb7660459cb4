//! Bytes of posted files that are kept for parsers.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Runs of bytes by file and offset. They may overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(BTreeMap<(u32, u64), Run>);

#[derive(Clone, Debug)]
struct Run {
    chunks: Vec<Bytes>,
    len: u64,
    /// Of what was read; else an article.
    is_copy: bool,
}

/// No run is longer: an article, or a header that was read.
const RUN_BYTES_MAX: u64 = 64 << 20;

impl Held {
    pub(super) fn insert(&mut self, file: u32, begin: u64, chunks: Vec<Bytes>) {
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let known = self.0.get(&(file, begin)).map_or(0, |run| run.len);
        if len > known {
            let run = Run {
                chunks,
                len,
                is_copy: false,
            };
            self.0.insert((file, begin), run);
        }
    }

    /// Whether all bytes of a range are here.
    pub(super) fn covers(&self, file: u32, range: Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            let Some((begin, run)) = self.run(file, at) else {
                return false;
            };
            at = begin + run.len;
        }
        true
    }

    /// A run with the byte at `at`: where it begins, and it.
    fn run(&self, file: u32, at: u64) -> Option<(u64, &Run)> {
        let before = self.0.range((file, 0)..=(file, at)).rev();
        before
            .map(|(&(_, begin), run)| (begin, run))
            .take_while(|(begin, _)| begin + RUN_BYTES_MAX > at)
            .find(|(begin, run)| at < begin + run.len)
    }

    /// Copies what is here from `at` on, up to the first byte that is not.
    pub(super) fn read(&self, file: u32, at: u64, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < buffer.len() {
            let from = at + filled as u64;
            let Some((begin, run)) = self.run(file, from) else {
                break;
            };
            filled += run.read(from - begin, &mut buffer[filled..]);
        }
        filled
    }

    /// Keeps copies of what was read, now or before, and nothing else.
    pub(super) fn compact(&mut self, read: &[(u32, Range<u64>)]) {
        let copies = self.0.iter().filter(|(_, run)| run.is_copy);
        let before = copies.map(|(&(file, begin), run)| (file, begin..begin + run.len));
        let mut ranges: Vec<(u32, Range<u64>)> = read.iter().cloned().chain(before).collect();
        ranges.sort_unstable_by_key(|(file, range)| (*file, range.start));
        ranges.dedup_by(|(next_file, next), (file, range)| {
            let joins = next_file == file && next.start <= range.end;
            if joins {
                range.end = range.end.max(next.end);
            }
            joins
        });
        let mut kept = Self::default();
        for (file, range) in ranges {
            // What was read fits memory: it was copied once already.
            let len = (range.end - range.start) as usize;
            let mut copy = BytesMut::zeroed(len);
            let got = self.read(file, range.start, &mut copy);
            copy.truncate(got);
            if got > 0 {
                let run = Run {
                    len: got as u64,
                    chunks: vec![copy.freeze()],
                    is_copy: true,
                };
                kept.0.insert((file, range.start), run);
            }
        }
        *self = kept;
    }
}

impl Run {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let (mut at, mut filled) = (0, 0);
        for chunk in &self.chunks {
            let from = offset + filled as u64;
            let end = at + chunk.len() as u64;
            if from < end && filled < buffer.len() {
                // Inside the chunk, so it fits.
                let rest = &chunk[(from - at) as usize..];
                let len = rest.len().min(buffer.len() - filled);
                buffer[filled..filled + len].copy_from_slice(&rest[..len]);
                filled += len;
            }
            at = end;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_runs_and_keeps_what_was_read() {
        let mut held = Held::default();
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        held.insert(1, 0, vec![bytes("abc"), bytes("def")]);
        held.insert(1, 6, vec![bytes("ghi")]);
        held.insert(2, 0, vec![bytes("x")]);
        let mut buffer = [0; 6];
        assert_eq!(held.read(1, 2, &mut buffer), 6);
        assert_eq!(&buffer, b"cdefgh");
        assert_eq!(held.read(1, 8, &mut buffer), 1);
        assert_eq!(held.read(3, 0, &mut buffer), 0);
        assert!(held.covers(1, 0..9) && !held.covers(1, 0..10) && held.covers(2, 0..1));
        held.compact(&[(1, 1..5), (1, 7..8), (1, 4..6), (3, 0..1)]);
        assert!(held.covers(1, 1..6) && held.covers(1, 7..8));
        assert!(!held.covers(1, 0..1) && !held.covers(1, 6..7) && !held.covers(2, 0..1));
        // What was read before stays.
        held.insert(2, 0, vec![bytes("xyz")]);
        held.compact(&[(2, 1..2)]);
        assert!(held.covers(1, 1..6) && held.covers(2, 1..2) && !held.covers(2, 0..1));
        assert_eq!(held.read(1, 2, &mut buffer), 4);
        assert_eq!(&buffer[..4], b"cdef");
    }

    #[test]
    fn a_long_run_is_found_behind_many_short_ones() {
        let mut held = Held::default();
        held.insert(1, 0, vec![Bytes::from(vec![7; 400])]);
        for at in 1..20 {
            held.insert(1, at, vec![Bytes::from_static(b"7")]);
        }
        assert_eq!(held.read(1, 0, &mut [0; 400]), 400);
    }
}
