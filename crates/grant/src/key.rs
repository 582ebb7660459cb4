//! Keys that sign: the newest signs, all verify.

use std::fmt;

use base::Redacted;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a key.
pub const SECRET_LENGTH: usize = 32;

/// A key's name in the grants that it signed; higher is newer.
pub type KeyId = u32;

/// A key for HMAC-SHA256 (RFC 2104).
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    /// With the key already mixed in: half of the work of each check is done once.
    mac: Redacted<Hmac<Sha256>>,
}

/// The keys that are good now. Rotation: put a newer one in, take the oldest out when nothing that it
/// signed is in use any more.
#[derive(Clone, Debug, Default)]
pub struct KeyRing(Vec<Key>);

/// Bytes of a signature: half of SHA-256's, as RFC 2104 §5 allows.
pub(crate) const MAC_LENGTH: usize = 16;
/// Begins what is signed, so that no signature of these keys fits anything else.
const PURPOSE: &[u8] = b"perennial grant\n";

impl Key {
    /// A key from its bytes.
    pub fn new(id: KeyId, secret: &[u8; SECRET_LENGTH]) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        Self {
            id,
            mac: Redacted::new(mac),
        }
    }

    /// Its name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn sign(&self, payload: &[u8]) -> [u8; MAC_LENGTH] {
        let mut mac = self.mac.expose().clone();
        mac.update(payload);
        let full = mac.finalize().into_bytes();
        let mut out = [0; MAC_LENGTH];
        out.copy_from_slice(&full[..MAC_LENGTH]);
        out
    }

    /// In constant time.
    pub(crate) fn signed(&self, payload: &[u8], signature: &[u8]) -> bool {
        self.sign(payload).ct_eq(signature).into()
    }
}

impl KeyRing {
    /// These keys, in any order.
    pub fn new(mut keys: Vec<Key>) -> Self {
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        Self(keys)
    }

    /// The key that signs: the newest.
    pub fn newest(&self) -> Option<&Key> {
        self.0.first()
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
