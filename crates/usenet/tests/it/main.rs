//! The engine against an NNTP server that breaks on request, through a proxy that counts.

mod faults;
mod flights;
mod imports;
mod plays;
mod rig;
