//! HLS without I/O (RFC 8216 and its second edition): playlists, the live timeline, the channel
//! state machine and the media containers that segments come in.
//!
//! This crate is pure. It takes bytes and `now` and returns values: no tokio, no sockets, no files,
//! no clock.

pub mod aes128;
pub mod channel;
pub mod container;
pub mod date;
pub mod mp4;
pub mod playlist;
mod render;
pub mod timeline;
pub mod ts;
