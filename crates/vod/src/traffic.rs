//! What a bucket was asked, and what came of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one bucket since it was configured.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    failures: AtomicU64,
    bytes_in: AtomicU64,
}

impl Traffic {
    /// Requests of ours; those of viewers whom a redirect sent there are not seen here.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests that had no answer, or one that neither gives an object nor says that there is none, and bodies
    /// that broke.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Bytes of objects and lists.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }
}
