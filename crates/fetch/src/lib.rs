//! Perennial's one outbound HTTP client: everything that is fetched over HTTP passes here.
//!
//! It owns the address guard (which classes of address a source may reach), redirects, time-outs by
//! phase, body limits, byte ranges that are never shifted, conditional requests, manners towards a
//! host, and errors that name their cause and no secret.
//!
//! It must not retry, choose another source, or know what a playlist is: those are decisions of the
//! channel machine. One retry happens below it: hyper sends a request again when a pooled connection
//! turns out to be closed before anything of the request was written.
//!
//! The way of a request: [`Client::open`] → `exchange` (each hop: `guard`, `manners`, headers) →
//! [`Streaming`], whose `body` counts bytes and time. [`Client::get`] collects that into a [`Response`].

mod body;
mod client;
mod connect;
mod encoding;
mod error;
mod exchange;
mod guard;
mod headers;
mod manners;
mod names;
mod patience;
mod redirect;
mod request;
mod response;
mod retry_after;
mod slice;
mod tls;

pub use client::{Client, Settings};
pub use error::{Error, Fault, Phase};
pub use guard::Scope;
pub use headers::{Headers, InvalidHeader};
pub use manners::Manners;
pub use request::{Pace, Request, Timeouts, USER_AGENT};
pub use response::{Head, Response, Streaming, Validators};
pub use tls::config as tls_config;
