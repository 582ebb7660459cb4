//! What a layout maps, as parsers read it: as far as its articles are held.

use std::cell::RefCell;
use std::ops::Range;

use nzb::archive::Bytes;
use nzb::layout::{Layout, Source};

use super::Post;

/// Bytes read at once through an encryption.
const SEALED_BYTES_MAX: u64 = 16 << 20;

/// A file in a post. Notes what is read, so that the rest need not be kept.
#[derive(Debug)]
pub(crate) struct View<'a> {
    post: &'a Post,
    layout: &'a Layout,
    len: Option<u64>,
    read: &'a RefCell<Vec<(u32, Range<u64>)>>,
}

impl<'a> View<'a> {
    /// `len` is `None` where the layout's length is only assumed.
    pub(crate) fn new(
        post: &'a Post,
        layout: &'a Layout,
        len: Option<u64>,
        read: &'a RefCell<Vec<(u32, Range<u64>)>>,
    ) -> Self {
        Self {
            post,
            layout,
            len,
            read,
        }
    }

    fn copy(&self, layout: &Layout, range: Range<u64>, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        for piece in layout.cut(range) {
            // Cut to the buffer's length, so it fits.
            let len = piece.len as usize;
            let target = &mut buffer[filled..filled + len];
            let got = match &piece.source {
                Source::Posted(file) => {
                    let got = self.post.held.read(*file, piece.offset, target);
                    if got > 0 {
                        let run = (*file, piece.offset..piece.offset + got as u64);
                        self.read.borrow_mut().push(run);
                    }
                    got
                }
                Source::Sealed(sealed) if piece.len <= SEALED_BYTES_MAX => {
                    let (range, mut opener) = sealed.open(piece.offset..piece.offset + piece.len);
                    let mut stored = vec![0; (range.end - range.start) as usize];
                    let got = self.copy(sealed.stored(), range, &mut stored);
                    let mut clear = Vec::with_capacity(got);
                    opener.push(&stored[..got], &mut clear);
                    target[..clear.len()].copy_from_slice(&clear);
                    clear.len()
                }
                Source::Sealed(_) => 0,
            };
            filled += got;
            if got < len {
                break;
            }
        }
        filled
    }
}

impl Bytes for View<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let end = offset.saturating_add(buffer.len() as u64);
        self.copy(self.layout, offset..end, buffer)
    }

    fn len(&self) -> Option<u64> {
        self.len
    }
}
