//! A post is mounted and plays straight out of its articles: nothing is downloaded first.
//!
//! [`Usenet`] is the engine, a cheap handle that owns the connections to the providers, the articles in
//! memory and the mounts:
//!
//! 1. [`Usenet::submit`] takes an NZB. What it answered with `Ok` survives a kill. Equal posts, whatever
//!    they are called, share one [`Mount`].
//! 2. [`Mount::ready`] waits until the files that a [`Selector`] asks for can be played, or the post is
//!    known not to play: a [`Failure`] with one of the codes of the streams API.
//! 3. [`File::read`] gives the bytes of a range, exactly as many as were asked for or an error: a
//!    [`Reader`] is a body. Whoever reads the same article at the same time shares one transfer.
//! 4. [`Usenet::events`] tells every change of state; nothing needs to poll.
//!
//! The bytes of a file lie in articles by way of [`nzb::layout`]; this crate fetches, checks and orders
//! them. It knows nothing of HTTP routes and status codes, and never fetches a URL: an NZB arrives as
//! bytes.

mod article;
mod articles;
mod check;
mod connection;
mod core;
mod disk;
mod error;
mod event;
mod file;
mod import;
mod mapped;
mod mount;
mod pool;
mod post;
mod provider;
mod reader;
mod record;
mod select;
mod settings;

mod usenet;

pub use check::{Checked, check};
pub use error::{Code, Error, Failure, ReadError};
pub use event::Event;
pub use file::{Episode, File, FileInfo, Role, Selector};
pub use mount::{Mount, MountId, State, Status};
pub use provider::{Circuit, ProviderStatus};
pub use reader::Reader;
pub use settings::{ProviderSettings, Settings, tls};
pub use usenet::{Submission, Submitted, Usenet};
