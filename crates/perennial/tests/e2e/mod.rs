//! What the end-to-end tests share: the program itself as a child process, what is asked of it, origins
//! that say whatever a test wants, and what is expected of every player.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

mod canned;
mod failing;
mod gateway;
mod played;
mod raw;

use std::time::Duration;

pub(crate) use canned::{Answer, Canned};
pub(crate) use failing::{FAILURES, Failing, Failure, Source};
pub(crate) use gateway::{Gateway, KEY, channel, command};
pub(crate) use played::{
    check_clean, check_consecutive, check_stretch, indexes, until_played, until_played_within,
};
pub(crate) use raw::{Connection, header};

/// For what takes moments on a quiet machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// For what takes live time.
pub(crate) const LATE: Duration = Duration::from_secs(100);
