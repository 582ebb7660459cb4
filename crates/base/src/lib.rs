//! Building blocks that every crate shares: identifiers, monotonic time, byte sizes, HTTP byte
//! ranges, error kinds and values that must not reach a log.
//!
//! This crate is pure. It takes values and returns values: no sockets, no files, no clock.

mod clock;
mod id;
mod kind;
mod range;
mod redact;
mod size;

pub use clock::{Clock, Time};
pub use id::{ChannelId, InvalidChannelId};
pub use kind::ErrorKind;
pub use range::{ByteRange, RangeSet, Unsatisfiable, is_suffix_range};
pub use redact::{Redacted, redact_url};
pub use size::{ByteSize, InvalidByteSize};
