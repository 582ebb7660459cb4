//! What is known of a resolver at one moment: an immutable snapshot for whoever asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use url::Url;

use crate::entry::Link;
use crate::probe::Probe;

/// A resolver at one moment.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// By entry id.
    pub entries: BTreeMap<String, Listed>,
    /// When each lease ends, in milliseconds since the Unix epoch.
    pub leases: BTreeMap<String, i64>,
    /// When the newest run began, in milliseconds since the Unix epoch.
    pub last_run_ms: Option<i64>,
    /// Why the newest run brought nothing.
    pub error: Option<String>,
    /// Entries of the newest result that were not taken, and why.
    pub refused: Vec<String>,
    /// So much failed that nobody should wait for the next try.
    pub is_open: bool,
    pub(crate) references: HashMap<String, String>,
    pub(crate) digests: HashMap<String, String>,
    pub(crate) voucher: Option<Url>,
}

/// An entry at one moment.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its newest link.
    pub link: Arc<Link>,
    /// The upstream refused that link.
    pub dead: bool,
    /// The newest result has it.
    pub listed: bool,
    /// By which viewers know it.
    pub reference: String,
    /// How often its link was replaced.
    pub refreshes: u64,
    /// When its link was last replaced or confirmed.
    pub refreshed_ms: i64,
    /// What the last look showed.
    pub probe: Option<Probe>,
}

impl Listed {
    /// Whether the link may be asked now.
    pub fn is_usable(&self, now_ms: i64) -> bool {
        !self.dead && !self.link.is_over(now_ms)
    }
}
