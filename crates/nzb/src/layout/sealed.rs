//! Encrypted runs that can be entered at any byte: CBC needs the block before, and nothing else.

use std::ops::Range;

use super::{Layout, Source};
use crate::archive::{BLOCK_BYTES, Certainty, Cipher};

const BLOCK: usize = BLOCK_BYTES as usize;

/// What comes out of decrypting a layout's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    stored: Layout,
    cipher: Cipher,
    skip: u64,
    len: u64,
}

impl Sealed {
    /// `stored` holds whole blocks that cover `skip + len` bytes.
    pub(super) fn new(stored: Layout, cipher: Cipher, skip: u64, len: u64) -> Self {
        debug_assert!(skip + len <= stored.len());
        Self {
            stored,
            cipher,
            skip,
            len,
        }
    }

    /// The encrypted bytes.
    pub const fn stored(&self) -> &Layout {
        &self.stored
    }

    /// Clear bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a piece of a layout is never empty"
    )]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether every place of the encrypted bytes was read from a header.
    pub fn certainty(&self) -> Certainty {
        self.stored.certainty()
    }

    pub(super) fn depth(&self) -> u32 {
        let inner = self
            .stored
            .pieces()
            .iter()
            .map(|piece| match &piece.source {
                Source::Posted(_) => 0,
                Source::Sealed(sealed) => sealed.depth(),
            });
        1 + inner.max().unwrap_or(0)
    }

    /// For the clear bytes of `range`, which lies inside: the range of [`stored`](Self::stored) to
    /// read, in order, and what opens it.
    pub fn open(&self, range: Range<u64>) -> (Range<u64>, Opener) {
        let (start, end) = (self.skip + range.start, self.skip + range.end.min(self.len));
        let first_block = start / BLOCK_BYTES * BLOCK_BYTES;
        let has_before = first_block > 0;
        let from = first_block.saturating_sub(BLOCK_BYTES);
        let to = end.next_multiple_of(BLOCK_BYTES).min(self.stored.len());
        let opener = Opener {
            cipher: self.cipher.clone(),
            wants_before: has_before,
            before: None,
            partial: [0; BLOCK],
            filled: 0,
            skip: start - first_block,
            left: end.saturating_sub(start),
        };
        (from..to.max(from), opener)
    }
}

/// Decrypts one range while its bytes arrive, cut anywhere.
#[derive(Clone, Debug)]
pub struct Opener {
    cipher: Cipher,
    /// The first block of the input is not decrypted: it is the vector of the second.
    wants_before: bool,
    before: Option<[u8; BLOCK]>,
    partial: [u8; BLOCK],
    filled: usize,
    /// Clear bytes of the first block that are not asked for.
    skip: u64,
    left: u64,
}

impl Opener {
    /// Takes the next encrypted bytes and appends what they open to `clear`.
    pub fn push(&mut self, mut input: &[u8], clear: &mut Vec<u8>) {
        if self.filled > 0 || input.len() < BLOCK {
            let taken = input.len().min(BLOCK - self.filled);
            self.partial[self.filled..self.filled + taken].copy_from_slice(&input[..taken]);
            self.filled += taken;
            input = &input[taken..];
            if self.filled < BLOCK {
                return;
            }
            self.filled = 0;
            let block = self.partial;
            self.blocks(&block, clear);
        }
        let (blocks, rest) = input.split_at(input.len() / BLOCK * BLOCK);
        self.blocks(blocks, clear);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    fn blocks(&mut self, mut blocks: &[u8], clear: &mut Vec<u8>) {
        if self.wants_before && self.before.is_none() {
            let Some((before, rest)) = blocks.split_first_chunk::<BLOCK>() else {
                return;
            };
            self.before = Some(*before);
            blocks = rest;
        }
        let Some(last) = blocks.last_chunk::<BLOCK>() else {
            return;
        };
        let start = clear.len();
        clear.extend_from_slice(blocks);
        self.cipher
            .decrypt(self.before.as_ref(), &mut clear[start..]);
        self.before = Some(*last);
        let skip = self.skip.min(blocks.len() as u64);
        self.skip -= skip;
        // At most the length of `blocks`, so it fits.
        clear.drain(start..start + skip as usize);
        let keep = self.left.min((clear.len() - start) as u64);
        self.left -= keep;
        clear.truncate(start + keep as usize);
    }
}
