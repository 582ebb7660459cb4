//! Links that expire: who returns them, when they die, who uses them, and when fresh ones are fetched.
//!
//! A *resolver* is a document, a program or a list of the operator's own that returns *entries*, each with
//! an id that never changes and a *link* that does. Whoever plays an entry holds a *lease* on it, and as
//! long as there is one its link is replaced before it dies.
//!
//! Two modules are pure and hold the decisions: [`expiry`] reads a link's end, [`refresher`] says when the
//! resolver is asked. One task owns each resolver and carries out what its machine asks for; everybody
//! else reads the newest [`Board`]. This crate knows nothing of channels, routes or status codes.

pub mod document;
pub mod entry;
pub mod expiry;
pub mod refresher;

mod board;
mod owner;
mod probe;
mod reference;
mod resolvers;
mod run;
mod spec;

pub use board::{Board, Listed};
pub use entry::EntryKey;
pub use probe::{Probe, probe};
pub use resolvers::{Follower, Resolvers, Surveyed};
pub use run::{run, scope_of};
pub use spec::{Origin, ResolverSpec};
