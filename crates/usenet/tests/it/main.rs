//! The engine against an NNTP server that breaks on request, through a proxy that counts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod flights;
mod imports;
mod plays;
mod rig;
