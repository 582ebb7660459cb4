//! What a grant says.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::KeyId;

/// A permission: to do `actions` with `scope`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The key that signed it.
    pub key: KeyId,
    /// The session that its uses belong to; its name in the API.
    pub session: SessionId,
    /// What it opens.
    pub scope: Subject,
    /// The share that it came from, and ends with.
    pub share: Option<ShareId>,
    /// What for.
    pub actions: Actions,
    /// It must be used by then, in seconds since the Unix epoch, and from then on lives with its
    /// session; `None`: it lives until it is revoked.
    pub start_by_s: Option<u64>,
    /// It ends then, used or not.
    pub until_s: Option<u64>,
    /// The sum of the epochs of all it hangs on: its scope and its share. Epochs only grow, so that
    /// one of them growing makes this sum wrong for good.
    pub epoch: u64,
    /// Where it may be used.
    pub binding: Binding,
}

/// What can be opened, and revoked as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A live channel, by its id.
    Channel(String),
    /// Every live channel: what a device's channel list carries.
    Channels,
    /// An asset of a library.
    Asset(Uuid),
    /// A file, by the id that its mount gave it.
    File(String),
    /// A share's page: its password was entered.
    Share(ShareId),
}

/// What a grant may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Actions(u8);

/// Where a grant may be used; nothing set means everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The viewer's network. An exact address would cut off telephones, which change theirs.
    pub network: Option<IpNet>,
    /// The first bytes of the SHA-256 of `User-Agent`.
    pub user_agent: Option<[u8; 8]>,
}

/// Names a session: 96 random bits, in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 12]);

/// Names a share without giving its link away: the first bytes of the SHA-256 of its token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareId(pub [u8; 12]);

/// A text that is no id or subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct InvalidId;

impl Actions {
    /// To play.
    pub const PLAY: Self = Self(1);
    /// To save a file.
    pub const DOWNLOAD: Self = Self(2);

    /// The actions of these bits; `None` if there is an unknown one, or none at all.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits == 0 || bits > 3 {
            None
        } else {
            Some(Self(bits))
        }
    }

    /// As bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is allowed.
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl FromStr for Actions {
    type Err = InvalidId;

    fn from_str(word: &str) -> Result<Self, InvalidId> {
        match word {
            "play" => Ok(Self::PLAY),
            "download" => Ok(Self::DOWNLOAD),
            _ => Err(InvalidId),
        }
    }
}

/// The networks that a grant is bound to: what one household or one mobile carrier's cell has.
const BOUND_V4_BITS: u8 = 24;
const BOUND_V6_BITS: u8 = 64;

impl Binding {
    /// The network around an address: /24, or /64 in IPv6.
    pub fn network_of(address: IpAddr) -> IpNet {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() {
            BOUND_V4_BITS
        } else {
            BOUND_V6_BITS
        };
        IpNet::new(address, bits)
            .expect("the prefix is shorter than the address")
            .trunc()
    }

    /// What is kept of a `User-Agent`.
    pub fn digest(user_agent: &str) -> [u8; 8] {
        first(&Sha256::digest(user_agent))
    }

    /// Whether a request from there may use the grant.
    pub fn admits(&self, address: IpAddr, user_agent: &str) -> bool {
        let near = |network: &IpNet| network.contains(&address.to_canonical());
        self.network.as_ref().is_none_or(near)
            && self
                .user_agent
                .is_none_or(|bound| bound == Self::digest(user_agent))
    }
}

impl ShareId {
    /// Of a share's token.
    pub fn of(token: &str) -> Self {
        Self(first(&Sha256::digest(token)))
    }
}

impl SessionId {
    /// A new one.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn unhex(text: &str) -> Result<[u8; 12], InvalidId> {
    if text.len() != 24 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(InvalidId);
    }
    let mut out = [0; 12];
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|_| InvalidId)?;
    }
    Ok(out)
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        unhex(text).map(Self)
    }
}

impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// `channel:news`, `channels:`, `asset:…`, `file:…`, `share:…`: as the store keeps it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(id) => write!(f, "channel:{id}"),
            Self::Channels => f.write_str("channels:"),
            Self::Asset(id) => write!(f, "asset:{id}"),
            Self::File(id) => write!(f, "file:{id}"),
            Self::Share(id) => write!(f, "share:{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (kind, id) = text.split_once(':').ok_or(InvalidId)?;
        match kind {
            "channel" if !id.is_empty() => Ok(Self::Channel(id.to_owned())),
            "channels" if id.is_empty() => Ok(Self::Channels),
            "asset" => id.parse().map(Self::Asset).map_err(|_| InvalidId),
            "file" if !id.is_empty() => Ok(Self::File(id.to_owned())),
            "share" => unhex(id).map(|id| Self::Share(ShareId(id))),
            _ => Err(InvalidId),
        }
    }
}
