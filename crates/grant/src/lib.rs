//! Permission to watch, as text in a URL: signed grants, the keys that sign them, the sessions that
//! keep them alive, and what ends them early.
//!
//! [`Gate`] is the whole of it at run time: it mints, admits and revokes from memory, in microseconds.
//! Two foreign kinds of token are read here too: the HS256 tokens of `/stream/hls` ([`hls_token`]) and
//! the JWTs of a customer's own issuer ([`issuer`]), which are exchanged for a grant once.
//!
//! This crate is pure. It takes text and `now` and returns values; what must survive a restart it hands
//! out and takes back ([`Gate::unsaved`], [`Gate::restore`]), and never asks who is calling.

mod error;
mod gate;
pub mod hls_token;
pub mod issuer;
mod jwt;
mod key;
mod sessions;
mod text;
mod types;

#[cfg(test)]
mod tests;

pub use error::{Refused, TokenError};
pub use gate::{Admitted, Ask, Basis, Gate, Order, Rules, Wanted};
pub use key::{Key, KeyId, KeyRing, SECRET_LENGTH};
pub use sessions::{SESSIONS_MAX, SavedSession};
pub use text::{TEXT_LENGTH_MAX, open, seal};
pub use types::{Actions, Binding, Grant, SessionId, ShareId, Subject};
