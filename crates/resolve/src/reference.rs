//! Names for entries that may be shown to anybody: they can be asked for, and tell no link.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use url::Url;

/// Makes references. They are looked up, never opened: the key only keeps them from being guessed.
#[derive(Clone)]
pub(crate) struct Sealer(Hmac<Sha256>);

/// Bytes of a reference before they are written as text.
const REFERENCE_BYTES: usize = 18;
/// Bytes of a link's digest.
const DIGEST_BYTES: usize = 16;

impl Sealer {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The reference of an entry: the same as long as the store lives, 24 characters of base64url.
    pub(crate) fn reference(&self, resolver: &str, entry: &str) -> String {
        let mut mac = self.0.clone();
        for part in ["entry", resolver, entry] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..REFERENCE_BYTES])
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// By which a link is known again although it is not kept.
pub(crate) fn digest(link: &Url) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(link.as_str().as_bytes())[..DIGEST_BYTES])
}
