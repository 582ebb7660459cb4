//! Live channels.

pub mod spec;
