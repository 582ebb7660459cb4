//! Where the bytes of a file are: in which articles, at which offsets, behind which encryption.
//!
//! Two maps make the way. A [`Layout`] leads from a file that is played to posted files, through
//! volumes, archives in archives and encryption. A [`Posted`] leads from a posted file to its
//! articles; it is learned from the articles' own headers. Both say of each place whether it is
//! exact or inferred: bytes of an inferred place are shown to nobody before it is verified.
//!
//! Layouts are values: when more is known, a new one is made.

mod posted;
mod sealed;

use std::ops::Range;
use std::sync::Arc;

pub use posted::{Contradiction, Learned, Posted, Slice};
pub use sealed::{Opener, Sealed};

use crate::archive::{Certainty, Member, Method, Seal};
use crate::yenc::FILE_BYTES_MAX;

/// Pieces of one layout: a set of thousands of volumes, nested once.
const PIECES_MAX: usize = 1 << 20;
/// Encryptions around each other.
const DEPTH_MAX: u32 = 4;

/// A file as runs of bytes of other files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pieces: Vec<Piece>,
    len: u64,
}

/// A run of a layout's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the layout.
    pub at: u64,
    /// Its length in bytes, at least 1.
    pub len: u64,
    /// Which file has the bytes.
    pub source: Source,
    /// Where they begin there.
    pub offset: u64,
    /// Whether all headers on the way were read.
    pub certainty: Certainty,
}

/// What a piece's bytes are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A posted file, by its index in the document.
    Posted(u32),
    /// What comes out of decryption.
    Sealed(Arc<Sealed>),
}

/// Why a file has no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmappable {
    /// It is compressed.
    #[error("the file is compressed")]
    Compressed,
    /// It is encrypted and there is no password.
    #[error("the file is encrypted and there is no password")]
    Locked,
    /// Some of its volumes are missing, or were not looked at.
    #[error("the map covers {covered} of {wanted} bytes")]
    Incomplete {
        /// Bytes that extents cover.
        covered: u64,
        /// Bytes that the file takes.
        wanted: u64,
    },
    /// An extent lies outside its volume, or the volume is not there.
    #[error("volume {volume} has no bytes {offset} to {end}")]
    Outside {
        /// Index of the volume.
        volume: usize,
        /// Where the extent begins.
        offset: u64,
        /// Where it ends.
        end: u64,
    },
    /// One of the limits.
    #[error("more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
}

impl Unmappable {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        match self {
            Self::Compressed => base::ErrorKind::Invalid,
            Self::Locked => base::ErrorKind::Denied,
            Self::Incomplete { .. } => base::ErrorKind::NotFound,
            Self::Outside { .. } => base::ErrorKind::Corrupt,
            Self::TooLarge { .. } => base::ErrorKind::TooLarge,
        }
    }
}

impl Layout {
    /// A posted file of `len` bytes as it is.
    pub fn posted(file: u32, len: u64) -> Self {
        let mut layout = Self::default();
        layout.extend(Piece {
            at: 0,
            len,
            source: Source::Posted(file),
            offset: 0,
            certainty: Certainty::Exact,
        });
        layout
    }

    /// Files one behind the other: plain `.001` splits, the volumes of 7z and ZIP.
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, Unmappable> {
        let mut whole = Self::default();
        for part in parts {
            whole.append(part, 0..part.len, Certainty::Exact)?;
        }
        Ok(whole)
    }

    /// A file in an archive whose volumes have these layouts; `None` for one that is not there. The
    /// volumes may be files in an archive themselves.
    pub fn member(member: &Member, volumes: &[Option<&Self>]) -> Result<Self, Unmappable> {
        if member.method == Method::Compressed {
            return Err(Unmappable::Compressed);
        }
        if !member.is_mapped() {
            return Err(Unmappable::Incomplete {
                covered: member.covered(),
                wanted: member.stored_size().unwrap_or(u64::MAX),
            });
        }
        let mut stored = Self::default();
        for extent in &member.extents {
            let (volume, offset) = (extent.volume, extent.offset);
            let end = offset.saturating_add(extent.len);
            let outside = Unmappable::Outside {
                volume,
                offset,
                end,
            };
            let layout = volumes.get(volume).copied().flatten().ok_or(outside)?;
            if end > layout.len {
                return Err(outside);
            }
            stored.append(layout, offset..end, extent.certainty)?;
        }
        match &member.seal {
            Seal::None => Ok(stored),
            Seal::Locked => Err(Unmappable::Locked),
            Seal::Open(cipher) => {
                let sealed = Sealed::new(stored, cipher.clone(), member.skip, member.size);
                Self::sealed(sealed)
            }
        }
    }

    fn sealed(sealed: Sealed) -> Result<Self, Unmappable> {
        if sealed.depth() > DEPTH_MAX {
            return Err(Unmappable::TooLarge {
                what: "encryptions around each other",
                limit: u64::from(DEPTH_MAX),
            });
        }
        let mut layout = Self::default();
        layout.extend(Piece {
            at: 0,
            len: sealed.len(),
            certainty: sealed.stored().certainty(),
            offset: 0,
            source: Source::Sealed(Arc::new(sealed)),
        });
        Ok(layout)
    }

    /// Length in bytes: what the headers declare, exact even where places are not.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All pieces, in order, without gaps.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether every place was read from a header.
    pub fn certainty(&self) -> Certainty {
        let all = self.pieces.iter().map(|piece| piece.certainty);
        all.min().unwrap_or(Certainty::Exact)
    }

    /// The pieces of a range, cut to it. What of the range lies behind the end is left out.
    pub fn cut(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + '_ {
        let first = self
            .pieces
            .partition_point(|piece| piece.at + piece.len <= range.start);
        let inside = move |piece: &&Piece| piece.at < range.end;
        self.pieces[first..]
            .iter()
            .take_while(inside)
            .map(move |piece| {
                let start = piece.at.max(range.start);
                let end = (piece.at + piece.len).min(range.end);
                Piece {
                    at: start,
                    len: end - start,
                    offset: piece.offset + (start - piece.at),
                    ..piece.clone()
                }
            })
    }

    fn append(
        &mut self,
        other: &Self,
        range: Range<u64>,
        certainty: Certainty,
    ) -> Result<(), Unmappable> {
        if self.len.saturating_add(range.end - range.start) > FILE_BYTES_MAX {
            return Err(Unmappable::TooLarge {
                what: "bytes",
                limit: FILE_BYTES_MAX,
            });
        }
        for piece in other.cut(range) {
            self.extend(Piece {
                at: self.len,
                certainty: piece.certainty.min(certainty),
                ..piece
            });
            if self.pieces.len() > PIECES_MAX {
                return Err(Unmappable::TooLarge {
                    what: "pieces",
                    limit: PIECES_MAX as u64,
                });
            }
        }
        Ok(())
    }

    /// Adds a piece at the end, to the last one if it goes on there.
    fn extend(&mut self, piece: Piece) {
        if piece.len == 0 {
            return;
        }
        self.len += piece.len;
        match self.pieces.last_mut() {
            Some(last)
                if last.source == piece.source
                    && last.offset + last.len == piece.offset
                    && last.certainty == piece.certainty =>
            {
                last.len += piece.len;
            }
            _ => self.pieces.push(piece),
        }
    }
}

#[cfg(test)]
mod tests;
