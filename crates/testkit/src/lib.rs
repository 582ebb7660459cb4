//! Fakes with faults and an independent judge, for tests and for `perennial demo`.
//!
//! - [`Origin`]: a live HLS origin inside the process that plays a committed [`Clip`] round and round,
//!   and breaks on request ([`Fault`]).
//! - [`checker`]: what RFC 8216 asks of every playlist, and of each playlist after the one before.
//! - [`player`]: a player that records and hashes what it gets and models its own buffer.
//! - [`stream`]: a listener to a continuous transport stream, and a strict judge of it.
//! - [`nntp`]: posts, an NNTP server that breaks on request, a proxy that adds distance and counts.
//! - [`mkv`]: a clip as a film in one file; [`noise`]: one that only looks like a film.
//! - [`memory`]: what a process keeps, its memory files included.
//! - [`gear`]: ffmpeg and nginx as child processes, for what only real programs can show.
//!
//! The checker and the player share no playlist code with `hls`: they are the oracle that it is tested
//! against. Nothing here talks to anything but loopback.

pub mod checker;
pub mod gear;
pub mod http;
pub mod memory;
pub mod mkv;
pub mod nntp;
pub mod noise;
pub mod origin;
pub mod player;
pub mod stream;

mod date;
mod error;
mod hash;
mod media;
mod reader;
mod wait;

pub use error::Error;
pub use hash::Sha256;
pub use media::{Clip, GOP};
pub use origin::{Carrier, Fault, Origin, Quirk, Shape, Signing, Spec};
pub use player::{Player, Report, Watch};
pub use wait::{free_port, wait_until};
