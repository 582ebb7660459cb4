//! The HTTP face: routes, sign-in, the page, events and metrics; the only crate that knows status
//! codes.
//!
//! It decides nothing about media: a request becomes a look into a [`live::View`], and that a
//! response. See [`router`] for the map.

mod api;
mod auth;
mod body;
mod client;
mod compat;
mod cors;
mod error;
mod events;
mod grants;
mod listener;
mod media;
mod metrics;
mod openapi;
mod options;
mod outlet;
mod page;
mod patient;
mod players;
mod playlists;
mod ranged;
mod resolvers;
mod router;
mod state;
mod streams;
mod tls;
mod usenet;
mod vod;

pub use auth::{Foreign, is_of_this_machine};
pub use compat::url_of;
pub use error::Problem;
pub use grants::{GRANT_KEYS, GrantSettings, Grants};
pub use listener::{Listener, ServeError};
pub use openapi::document as openapi;
pub use router::router;
pub use state::{Access, App, Reload, Reloaded, Settings};
pub use tls::{Tls, TlsError};
pub use usenet::{
    Announce, Indexer, LibrarySettings, NzbHost, UsenetFace, UsenetSettings, properties_of,
    results_of,
};
pub use vod::{Minted, ShareOptions, create_grant, create_share, describe_share};
