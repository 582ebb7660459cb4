//! The `perennial` command: its configuration, its command line, and the wiring of the other crates.

pub mod cli;
pub mod config;
