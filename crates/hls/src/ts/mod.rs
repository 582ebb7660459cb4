//! MPEG transport streams (ISO/IEC 13818-1) as HLS carries them (RFC 8216 §3.2): packets, program
//! tables, timestamps; checking a segment, finding where a decoder can start in it, cutting a segment
//! or an endless stream there and joining segments of many sources into one stream.
//!
//! Works on bytes in memory and decodes no picture.

mod access;
#[cfg(test)]
pub(crate) mod build;
#[cfg(test)]
mod clocks;
mod cut;
mod interleave;
mod length;
mod packet;
mod pes;
mod psi;
mod restamp;
mod section;
mod select;
mod splice;
mod stream;
mod ticks;
mod verify;

pub use access::{AccessPoint, access_points};
pub use cut::{CannotCut, Piece, cut};
pub use interleave::Interleaver;
pub use length::duration;
pub use packet::{Adaptation, PACKET_LEN, Packet, Packets, Pid, SYNC_BYTE};
pub use pes::PesHeader;
pub use psi::{Program, Stream, StreamKind, tables};
pub use restamp::Restamp;
pub use select::{Keep, select};
pub use splice::{Joint, Splicer};
pub use stream::{CannotSegment, Segment, Segmenter};
pub use ticks::Ticks;
pub use verify::{Report, verify};

pub(crate) use packet::in_sync;
