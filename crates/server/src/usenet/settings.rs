//! What the operator says of the faces; the engine has settings of its own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base::Redacted;
use ipnet::IpNet;
use url::{Host, Url};

/// Settings of what stands before the engine.
#[derive(Clone, Debug, Default)]
pub struct UsenetSettings {
    /// Private addresses that `nzb_url` may name.
    pub nzb_url_allow: Vec<NzbHost>,
    /// Who is asked for an id's title.
    pub cinemeta_url: Option<Url>,
    /// Whom the add-on asks for posts.
    pub newznab: Vec<Indexer>,
    /// Mounts announced as files.
    pub library: LibrarySettings,
}

/// A Newznab API.
#[derive(Clone, Debug)]
pub struct Indexer {
    /// As people see it.
    pub name: String,
    /// Of the API.
    pub url: Url,
    /// The account's; empty for none.
    pub api_key: Redacted<String>,
}

/// Mounts announced as files.
#[derive(Clone, Debug, Default)]
pub struct LibrarySettings {
    /// Where they are written.
    pub dir: Option<PathBuf>,
    /// As what.
    pub mode: Announce,
    /// Where `/webdav/` is mounted.
    pub mount_dir: Option<PathBuf>,
    /// How often the articles of each mount are asked for.
    pub recheck: Option<Duration>,
    /// Where players reach us from files, which no request has asked for: `http://host:port`.
    pub base_url: String,
}

/// What stands for a mounted file in the library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announce {
    /// Nothing.
    #[default]
    None,
    /// A text file with a URL.
    Strm,
    /// A link to where the file is mounted.
    Symlink,
}

/// What a URL that a client names may point at beside the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NzbHost {
    /// Addresses.
    Network(IpNet),
    /// A name, whatever address it has.
    Name(String),
}

impl UsenetSettings {
    /// The networks that `nzb_url` may name.
    pub fn allowed_networks(&self) -> Vec<IpNet> {
        let network = |host: &NzbHost| match host {
            NzbHost::Network(network) => Some(*network),
            NzbHost::Name(_) => None,
        };
        self.nzb_url_allow.iter().filter_map(network).collect()
    }

    /// Whether `nzb_url` may name this host whatever address it has.
    pub(super) fn allows_name(&self, url: &Url) -> bool {
        let Some(Host::Domain(wanted)) = url.host() else {
            return false;
        };
        let is_it = |host: &NzbHost| matches!(host, NzbHost::Name(name) if name.eq_ignore_ascii_case(wanted));
        self.nzb_url_allow.iter().any(is_it)
    }
}

impl FromStr for NzbHost {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        match Host::parse(text)? {
            Host::Domain(name) => Ok(Self::Name(name)),
            Host::Ipv4(address) => Ok(Self::Network(IpAddr::from(address).into())),
            Host::Ipv6(address) => Ok(Self::Network(IpAddr::from(address).into())),
        }
    }
}
