//! Usenet without I/O: yEnc, NNTP lines, NZB documents, archive headers and the map from a file's
//! bytes to the articles that hold them.
//!
//! This crate is pure. It takes bytes and returns values: no tokio, no sockets, no files, no clock.

pub mod archive;
pub mod document;
pub mod layout;
pub mod nntp;
pub mod yenc;
