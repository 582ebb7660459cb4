//! Channels that nobody configured: one for each resolver's entry that somebody plays by its reference.
//! They are listed nowhere, and their numbers survive a restart as those of any channel.

use std::sync::{Arc, PoisonError};

use base::ChannelId;
use resolve::EntryKey;
use sha2::{Digest, Sha256};

use crate::channel::{Channel, Origin};
use crate::registry::Live;
use crate::spec::{ChannelSpec, SourceSpec};

/// Entries that are played at once; further ones are refused until one of these is idle.
const ENTRIES_MAX: usize = 256;

impl Live {
    /// The channel of an entry; `None` if too many entries are played at once.
    pub fn entry(&self, reference: &str, key: &EntryKey) -> Option<Arc<Channel>> {
        let spec = spec(key)?;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = entries.get(reference).filter(|known| *known.spec() == spec) {
            return Some(known.clone());
        }
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, channel| channel.view().status.state != "idle");
        }
        if entries.len() >= ENTRIES_MAX {
            return None;
        }
        let channel = Arc::new(Channel::new(spec, Origin::Api, self.shared.clone()));
        entries.insert(reference.to_owned(), channel.clone());
        Some(channel)
    }

    /// The channel of an entry that is played already.
    pub fn played_entry(&self, reference: &str) -> Option<Arc<Channel>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(reference).cloned()
    }

    /// The channels of entries that are or were played; they are among no others.
    pub fn entry_channels(&self) -> Vec<Arc<Channel>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().cloned().collect()
    }
}

/// A channel with the entry as its only source, under an id that is the same after a restart.
fn spec(key: &EntryKey) -> Option<ChannelSpec> {
    let url = SourceSpec::entry_url(&key.resolver, &key.entry)?;
    let digest = Sha256::digest(url.as_str().as_bytes());
    let hex: String = digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let id: ChannelId = format!("entry-{hex}").parse().ok()?;
    Some(ChannelSpec {
        id,
        title: String::new(),
        group: String::new(),
        logo: String::new(),
        tvg_id: String::new(),
        slate: String::new(),
        target_duration_s: 0,
        sources: vec![SourceSpec {
            url,
            headers: Vec::new(),
            user_agent: String::new(),
            account: String::new(),
        }],
    })
}
