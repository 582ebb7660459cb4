//! References that players carry: sealed, so that nobody reads an indexer's key from them or makes his
//! own (ChaCha20-Poly1305 by ring, with a key of the store's).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{SECRET_LENGTH, Store};

use super::settings::UsenetSettings;

/// Seals and opens references.
pub(crate) struct Sealer(LessSafeKey);

/// What the add-on's links lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reference {
    /// A file that is mounted.
    #[serde(rename = "f")]
    File {
        /// Its mount's number.
        mount: i64,
        path: String,
    },
    /// A post that an indexer has.
    #[serde(rename = "n")]
    Nzb {
        /// Where its NZB is, with the indexer's key.
        url: String,
        /// What it is called.
        name: String,
        /// Stremio's id of what it is played for.
        id: String,
    },
}

/// The purpose of the secret that seals.
const PURPOSE: &str = "nzb-references";
/// Longer text is none of ours.
const TEXT_LENGTH_MAX: usize = 16 << 10;

impl Sealer {
    /// With the store's secret, which is made where there is none.
    ///
    /// # Errors
    /// A store that fails.
    pub(crate) async fn open(store: &Store) -> Result<Self, store::Error> {
        let secrets = store.secrets(PURPOSE).await?;
        let newest = secrets
            .first()
            .expect("the store makes one where there is none");
        Ok(Self::new(newest.secret.expose()))
    }

    fn new(secret: &[u8; SECRET_LENGTH]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, secret);
        Self(LessSafeKey::new(key.expect("a secret is as long as a key")))
    }

    /// As text for a URL. `None` where the system gives no random bytes: 96 of them a text, which do not
    /// meet again in the life of a household.
    pub(crate) fn seal(&self, reference: &impl Serialize) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut bytes = serde_json::to_vec(reference).ok()?;
        let sealed = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(sealed, Aad::empty(), &mut bytes)
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// What was sealed; `None` for any other text.
    pub(crate) fn unseal<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        if text.len() > TEXT_LENGTH_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .0
            .open_in_place(nonce, Aad::empty(), &mut sealed)
            .ok()?;
        serde_json::from_slice(plain).ok()
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl UsenetSettings {
    /// Whether a URL is below one of the operator's own indexers: their results lead there.
    pub(super) fn is_indexers(&self, url: &url::Url) -> bool {
        self.newznab
            .iter()
            .any(|indexer| indexer.url.origin() == url.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        let sealer = Sealer::new(&[7; SECRET_LENGTH]);
        let reference = Reference::Nzb {
            url: "https://indexer.example/get?apikey=secret".to_owned(),
            name: "Film".to_owned(),
            id: "tt0903747:1:2".to_owned(),
        };
        let text = sealer.seal(&reference).unwrap();
        assert!(!text.contains("secret"));
        assert_ne!(Some(&text), sealer.seal(&reference).as_ref());
        assert_eq!(sealer.unseal(&text), Some(reference));
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(sealer.unseal::<Reference>(&other), None, "{at}");
        }
        assert_eq!(
            Sealer::new(&[8; SECRET_LENGTH]).unseal::<Reference>(&text),
            None
        );
        assert_eq!(sealer.unseal::<Reference>(""), None);
    }
}
