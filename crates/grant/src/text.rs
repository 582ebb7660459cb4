//! A grant as text: base64url without padding of a payload and its signature.
//!
//! The payload, integers big-endian: version 1, key (4 bytes), start-by (8), until (8), epoch (8),
//! session (12), actions (1), then a tag and its value each for scope, share, network and user agent.
//! One grant has exactly one text: whatever else decodes to it is refused.

use core::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use uuid::Uuid;

use crate::key::{Key, KeyRing, MAC_LENGTH};
use crate::types::{Actions, Binding, Grant, SessionId, ShareId, Subject};
use crate::{KeyId, Refused};

/// Characters of the longest grant.
pub const TEXT_LENGTH_MAX: usize = 260;

const VERSION: u8 = 1;
/// Of a channel or file id; both are shorter in their own crates.
const ID_LENGTH_MAX: usize = 64;
const ABSENT: u8 = 0;

mod scope {
    pub(super) const CHANNEL: u8 = 1;
    pub(super) const CHANNELS: u8 = 2;
    pub(super) const ASSET: u8 = 3;
    pub(super) const FILE: u8 = 4;
    pub(super) const SHARE: u8 = 5;
}

/// Signs `grant`; its `key` becomes that of `key`. `None` if an id in it is empty or longer than 64
/// bytes.
pub fn seal(grant: &Grant, key: &Key) -> Option<String> {
    let mut out = Vec::with_capacity(128);
    out.push(VERSION);
    out.extend(key.id().to_be_bytes());
    out.extend(grant.start_by_s.unwrap_or(0).to_be_bytes());
    out.extend(grant.until_s.unwrap_or(0).to_be_bytes());
    out.extend(grant.epoch.to_be_bytes());
    out.extend(grant.session.0);
    out.push(grant.actions.bits());
    match &grant.scope {
        Subject::Channel(id) => put_id(&mut out, scope::CHANNEL, id)?,
        Subject::Channels => out.push(scope::CHANNELS),
        Subject::Asset(id) => {
            out.push(scope::ASSET);
            out.extend(id.as_bytes());
        }
        Subject::File(id) => put_id(&mut out, scope::FILE, id)?,
        Subject::Share(id) => {
            out.push(scope::SHARE);
            out.extend(id.0);
        }
    }
    match grant.share {
        None => out.push(ABSENT),
        Some(id) => {
            out.push(1);
            out.extend(id.0);
        }
    }
    match grant.binding.network {
        None => out.push(ABSENT),
        Some(network) => {
            match network.addr() {
                IpAddr::V4(address) => {
                    out.push(4);
                    out.extend(address.octets());
                }
                IpAddr::V6(address) => {
                    out.push(6);
                    out.extend(address.octets());
                }
            }
            out.push(network.prefix_len());
        }
    }
    match grant.binding.user_agent {
        None => out.push(ABSENT),
        Some(digest) => {
            out.push(1);
            out.extend(digest);
        }
    }
    let signature = key.sign(&out);
    out.extend(signature);
    Some(URL_SAFE_NO_PAD.encode(out))
}

/// Reads and verifies a grant. Whether it is still good, and for this request, is [`crate::Gate`]'s.
///
/// # Errors
/// [`Refused::Malformed`], [`Refused::UnknownKey`] or [`Refused::Forged`].
pub fn open(text: &str, keys: &KeyRing) -> Result<Grant, Refused> {
    if text.len() > TEXT_LENGTH_MAX {
        return Err(Refused::Malformed);
    }
    let mut buffer = [0; TEXT_LENGTH_MAX];
    let length = URL_SAFE_NO_PAD
        .decode_slice(text, &mut buffer)
        .map_err(|_| Refused::Malformed)?;
    let (payload, signature) = buffer[..length]
        .split_last_chunk::<MAC_LENGTH>()
        .ok_or(Refused::Malformed)?;
    let mut reader = Reader(payload);
    if reader.byte() != Some(VERSION) {
        return Err(Refused::Malformed);
    }
    let id = KeyId::from_be_bytes(reader.take().ok_or(Refused::Malformed)?);
    let key = keys.get(id).ok_or(Refused::UnknownKey)?;
    if !key.signed(payload, signature) {
        return Err(Refused::Forged);
    }
    reader.grant(id).ok_or(Refused::Malformed)
}

fn put_id(out: &mut Vec<u8>, tag: u8, id: &str) -> Option<()> {
    let length = u8::try_from(id.len()).ok()?;
    if id.is_empty() || id.len() > ID_LENGTH_MAX {
        return None;
    }
    out.extend([tag, length]);
    out.extend(id.as_bytes());
    Some(())
}

/// What of a payload is still to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn seconds(&mut self) -> Option<Option<u64>> {
        let seconds = u64::from_be_bytes(self.take()?);
        Some((seconds != 0).then_some(seconds))
    }

    fn id(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        if length == 0 || length > ID_LENGTH_MAX {
            return None;
        }
        let (id, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(id).ok().map(str::to_owned)
    }

    fn grant(mut self, key: KeyId) -> Option<Grant> {
        let start_by_s = self.seconds()?;
        let until_s = self.seconds()?;
        let epoch = u64::from_be_bytes(self.take()?);
        let session = SessionId(self.take()?);
        let actions = Actions::from_bits(self.byte()?)?;
        let scope = match self.byte()? {
            scope::CHANNEL => Subject::Channel(self.id()?),
            scope::CHANNELS => Subject::Channels,
            scope::ASSET => Subject::Asset(Uuid::from_bytes(self.take()?)),
            scope::FILE => Subject::File(self.id()?),
            scope::SHARE => Subject::Share(ShareId(self.take()?)),
            _ => return None,
        };
        let share = match self.byte()? {
            ABSENT => None,
            1 => Some(ShareId(self.take()?)),
            _ => return None,
        };
        let network = match self.byte()? {
            ABSENT => None,
            4 => Some((IpAddr::from(self.take::<4>()?), self.byte()?)),
            6 => Some((IpAddr::from(self.take::<16>()?), self.byte()?)),
            _ => return None,
        };
        let network = match network {
            None => None,
            Some((address, bits)) => Some(IpNet::new(address, bits).ok()?),
        };
        let user_agent = match self.byte()? {
            ABSENT => None,
            1 => Some(self.take()?),
            _ => return None,
        };
        self.0.is_empty().then_some(Grant {
            key,
            session,
            scope,
            share,
            actions,
            start_by_s,
            until_s,
            epoch,
            binding: Binding {
                network,
                user_agent,
            },
        })
    }
}
