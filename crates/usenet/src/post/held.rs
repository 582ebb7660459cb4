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
}

impl Held {
    pub(super) fn insert(&mut self, file: u32, begin: u64, chunks: Vec<Bytes>) {
        let len: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let known = self.0.get(&(file, begin)).map_or(0, |run| run.len);
        if len > known {
            self.0.insert((file, begin), Run { chunks, len });
        }
    }

    pub(super) fn has(&self, file: u32, at: u64) -> bool {
        self.run(file, at).is_some()
    }

    /// The run with the byte at `at`: where it begins, and it.
    fn run(&self, file: u32, at: u64) -> Option<(u64, &Run)> {
        let before = self.0.range((file, 0)..=(file, at)).rev();
        // Runs that overlap are few: those read before, and the article that they are of.
        before
            .take(4)
            .map(|(&(_, begin), run)| (begin, run))
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

    pub(super) fn compact(&mut self, read: &[(u32, Range<u64>)]) {
        let mut kept = Self::default();
        for (file, range) in read {
            // What was read fits memory: it was copied once already.
            let len = (range.end - range.start) as usize;
            let mut copy = BytesMut::zeroed(len);
            let got = self.read(*file, range.start, &mut copy);
            copy.truncate(got);
            if got > 0 {
                kept.insert(*file, range.start, vec![copy.freeze()]);
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
        held.compact(&[(1, 1..5), (1, 7..8), (3, 0..1)]);
        assert_eq!(held.read(1, 1, &mut buffer), 4);
        assert_eq!(held.read(1, 7, &mut buffer), 1);
        assert!(!held.has(1, 0) && !held.has(2, 0));
    }
}
