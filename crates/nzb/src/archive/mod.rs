//! Headers of the archives that posts are packed in: where a file lies in its volumes, never what
//! is in it.
//!
//! A post is parsed while it arrives. Parsers read through [`Bytes`], which holds what is there so
//! far, and say with [`Step::Need`] which bytes would take them further. Nothing here unpacks:
//! a file that is compressed is told, and refused by whoever wanted to play it.

mod bytes;
mod crypt;
mod names;
mod par2;
pub mod rar;
pub mod seven;
mod sniff;
pub mod zip;

pub use bytes::{Bytes, Need, Sparse, Step};
pub use crypt::{BLOCK_BYTES, Cipher, Keys};
pub use names::{Family, VolumeName};
pub use par2::{Description, HASHED_BYTES, descriptions, hash_of_front};
pub use sniff::Kind;

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive, with `/` between components. Not safe as a path of ours.
    pub name: String,
    /// Length in bytes, unpacked.
    pub size: u64,
    /// Whether its bytes lie in the volumes as they are.
    pub method: Method,
    /// Whether they are encrypted.
    pub seal: Seal,
    /// Decrypted bytes in front of the file's own: files of one 7z folder share an encrypted run, and
    /// a block of it may hold the end of one and the start of the next. The first 16 of these may
    /// decrypt to nonsense, for lack of the block before them.
    pub skip: u64,
    /// Where they lie, in order. Covers the file (and the padding of encryption) unless
    /// [`is_mapped`](Self::is_mapped) says otherwise.
    pub extents: Vec<Extent>,
    /// CRC-32 of the unpacked bytes, where the archive has one that can be compared.
    pub crc: Option<u32>,
}

impl Member {
    /// Bytes that the file takes in its volumes if it is stored: encryption pads it.
    pub fn stored_size(&self) -> Option<u64> {
        match self.seal {
            Seal::None => Some(self.size),
            Seal::Locked | Seal::Open(_) => (self.skip)
                .checked_add(self.size)?
                .checked_next_multiple_of(BLOCK_BYTES),
        }
    }

    /// Bytes that the extents cover.
    pub fn covered(&self) -> u64 {
        let lens = self.extents.iter().map(|extent| extent.len);
        lens.fold(0, u64::saturating_add)
    }

    /// Whether the extents cover the whole file.
    pub fn is_mapped(&self) -> bool {
        self.stored_size() == Some(self.covered())
    }
}

/// How a file was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Stored,
    /// By something that we do not undo.
    Compressed,
}

/// Whether a file's bytes are encrypted, and whether we can undo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// They are clear.
    None,
    /// They are encrypted, and no password was given.
    Locked,
    /// They are encrypted by this.
    Open(Cipher),
}

/// A run of a file's bytes in one volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Index of the volume in the order in which they were given.
    pub volume: usize,
    /// Offset in the volume.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// Whether a header says so, or the volumes before it suggest so.
    pub certainty: Certainty,
}

/// How far a place in a volume or an article can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Inferred: to be compared with the header once that is here, before a byte is used.
    Provisional,
    /// Read from the header.
    Exact,
}

/// Why an archive cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what its first bytes promise.
    #[error("{format}: {what} at byte {at}")]
    Corrupt {
        /// The format.
        format: &'static str,
        /// What is wrong.
        what: &'static str,
        /// Where, in the volume.
        at: u64,
    },
    /// Its headers are encrypted, and no password was given.
    #[error("{0}: headers are encrypted and there is no password")]
    Encrypted(&'static str),
    /// The password does not open it.
    #[error("{0}: the password does not open it")]
    WrongPassword(&'static str),
    /// It uses something that we do not know.
    #[error("{format}: {what} is not supported")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// It has more of something than we let it have.
    #[error("{format}: more than {limit} {what}")]
    TooLarge {
        /// The format.
        format: &'static str,
        /// Of what.
        what: &'static str,
        /// How much it may have.
        limit: u64,
    },
}

impl Error {
    /// What it means to the caller.
    pub const fn kind(&self) -> base::ErrorKind {
        match self {
            Self::Corrupt { .. } => base::ErrorKind::Corrupt,
            Self::Encrypted(_) | Self::WrongPassword(_) => base::ErrorKind::Denied,
            Self::Unsupported { .. } => base::ErrorKind::Invalid,
            Self::TooLarge { .. } => base::ErrorKind::TooLarge,
        }
    }
}
