//! A live HLS origin inside the process, on a loopback port, that breaks on request.
//!
//! ```no_run
//! # async fn example() -> Result<(), testkit::Error> {
//! use testkit::{Fault, Origin, Spec};
//!
//! let origin = Origin::start(Spec { speed: 10.0, ..Spec::default() }).await?;
//! println!("{}", origin.url());
//! origin.set_fault(Some(Fault::Freeze));
//! println!("{}", origin.stats());
//! # Ok(())
//! # }
//! ```

mod answer;
mod body;
mod damage;
mod fault;
mod live;
mod playlist;
mod resource;
mod serve;
mod signing;
mod spec;
mod stats;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::{Error, Sha256};
use serve::Shared;

pub use fault::{Fault, Target, UnknownFault};
pub use signing::{Carrier, Signing};
pub use spec::{Iv, Quirk, Shape, Spec};
pub use stats::Stats;

/// A running origin. It stops, and closes every connection, when it is dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

impl Origin {
    /// Listens on a free port of 127.0.0.1; the stream begins now, with a full window.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no port to be had.
    pub async fn start(spec: Spec) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(Error::io("binding the origin"))?;
        let address = listener
            .local_addr()
            .map_err(Error::io("binding the origin"))?;
        let shared = Arc::new(Shared::new(spec));
        let server = AbortOnDropHandle::new(tokio::spawn(serve::accept(listener, shared.clone())));
        Ok(Self {
            address,
            shared,
            _server: server,
        })
    }

    /// The playlist that a player opens.
    pub fn url(&self) -> Url {
        let url = format!("http://{}/index.m3u8", self.address);
        url.parse().expect("an address makes a URL")
    }

    /// A new link of the playlist, under [`Spec::signing`]; [`Origin::url`] without.
    pub fn sign(&self) -> Url {
        match &self.shared.signer {
            None => self.url(),
            Some(signer) => signer.link(&self.url()),
        }
    }

    /// Whether its playlist is a multivariant one.
    pub fn is_multivariant(&self) -> bool {
        matches!(self.shared.live.spec.shape, Shape::Multivariant(_))
    }

    /// A document of Perennial's own form: one entry, `cam-1`, with a new link each time it is asked for.
    pub fn resolver_url(&self) -> Url {
        self.url()
            .join("/resolver.json")
            .expect("a path makes a URL")
    }

    /// Whether the document of [`Origin::resolver_url`] can be had; if not, the answer is 503.
    pub fn set_resolver(&self, up: bool) {
        self.shared.resolver_up.store(up, Ordering::Relaxed);
    }

    /// Breaks the origin, or lifts the fault that is set.
    pub fn set_fault(&self, fault: Option<Fault>) {
        match fault {
            None => self.shared.lift_fault(),
            Some(fault) => self.set_fault_on(fault.target(), fault),
        }
    }

    /// Breaks the answers of `target` only. Where a fault is about playlists by nature (`Freeze`,
    /// `HugePlaylist`) or about segments (`Garbage`), others stay as they are whatever the target.
    pub fn set_fault_on(&self, target: Target, fault: Fault) {
        self.shared.set_fault(fault, target);
    }

    /// The fault that is set.
    pub fn fault(&self) -> Option<Fault> {
        self.shared.fault()
    }

    /// Under [`Quirk::Redirect`]: the URL leads to a new edge from now on, and what was below the old one is
    /// 404.
    pub fn move_edge(&self) {
        self.shared.move_edge();
    }

    /// What the origin was asked so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.lock().clone()
    }

    /// Starts all counters afresh, except those of what is going on now.
    pub fn reset_stats(&self) {
        self.shared.counters.reset();
    }

    /// How many segments the origin has made: the index of the next one. Indexes count from 0 whatever the
    /// media sequence numbers are, and the first window holds the segments from 0 on.
    pub fn head(&self) -> u64 {
        self.shared.live.head()
    }

    /// The media of segment `index`, decrypted, of the first variant. The same each time, also for
    /// segments to come.
    pub fn expected_segment(&self, index: u64) -> Bytes {
        self.shared.live.segment(index, 0)
    }

    /// [`Origin::expected_segment`] of another variant of [`Shape::Multivariant`].
    pub fn expected_variant_segment(&self, variant: u8, index: u64) -> Bytes {
        self.shared.live.segment(index, variant)
    }

    /// The hashes of the segments of these indexes, as a [`crate::Report`] has them.
    pub fn expected_hashes(&self, indexes: std::ops::Range<u64>) -> Vec<Sha256> {
        indexes
            .map(|index| Sha256::of(&self.expected_segment(index)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
