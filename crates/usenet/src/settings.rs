//! What the operator says: providers, memory, how long mounts are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::Redacted;
use rustls::ClientConfig;

use crate::Error;

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where articles come from. Without any, everything that is submitted fails.
    pub providers: Vec<ProviderSettings>,
    /// Bytes of decoded articles kept in memory. Articles on their way and those that readers hold count
    /// too, and are let in beyond it.
    pub cache_memory_bytes: u64,
    /// Bytes of decoded articles kept on disk, 0 for none.
    pub cache_disk_bytes: u64,
    /// Where those are kept. Emptied at start.
    pub cache_dir: Option<PathBuf>,
    /// Bytes that a reader fetches ahead; `None` for bandwidth × delay as measured.
    pub read_ahead_bytes: Option<u64>,
    /// How long a mount is kept after it was last read or submitted; `None` for ever.
    pub mount_ttl: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            cache_memory_bytes: 256 << 20,
            cache_disk_bytes: 0,
            cache_dir: None,
            read_ahead_bytes: None,
            mount_ttl: Some(Duration::from_secs(24 * 3600)),
        }
    }
}

/// An account at a provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Name or address.
    pub host: String,
    /// 563 with TLS, 119 without.
    pub port: u16,
    /// TLS, as [`tls`] makes it; clones share their sessions, so that later connections resume.
    pub tls: Option<Arc<ClientConfig>>,
    /// Account; `None` for a server that asks for none.
    pub username: Option<String>,
    /// Its password.
    pub password: Redacted<String>,
    /// Connections that the account may have open, at least 1.
    pub connections: u16,
    /// Lower is asked first; equals share the load.
    pub priority: i32,
    /// Asked only for what all others do not have.
    pub backup: bool,
    /// Providers of one group have the same articles: what is missing at one is not asked of the others.
    /// Empty for none.
    pub storage_group: String,
}

/// TLS with the system's certificate authorities, and sessions that are resumed.
///
/// # Errors
/// [`Error::Settings`] if the system has no usable TLS.
pub fn tls() -> Result<Arc<ClientConfig>, Error> {
    fetch::tls_config()
        .map(Arc::new)
        .map_err(|fault| Error::Settings {
            host: "tls".to_owned(),
            what: fault.to_string(),
        })
}
