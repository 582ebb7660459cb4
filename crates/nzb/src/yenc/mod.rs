//! yEnc 1.3, as it travels in the multi-line body of an NNTP response (RFC 3977 §3.1.1).
//!
//! [`Decoder`] takes the body in pieces cut anywhere, undoes dot-stuffing and yEnc in one pass, and
//! checks length and CRC. It decides nothing about what a damaged article means.

mod decode;
mod encode;
mod header;
mod kernel;
mod simd;

pub use decode::{Decoder, FILE_BYTES_MAX, Fault, PART_BYTES_MAX, Progress};
pub use encode::encode;
pub use header::{BadHeader, Part};
pub use kernel::Kernel;
