//! JWTs of a customer's own issuer (RFC 7519): checked here, exchanged for a grant once.
//!
//! The algorithm belongs to the key and is never taken from the token (RFC 8725 §3.1).

use std::fmt;

use base::Redacted;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use crate::TokenError;
use crate::jwt::{Parts, hs256_fits};
use crate::types::Actions;

/// What a key signs with (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// HMAC-SHA256 with a shared secret.
    Hs256,
}

/// A key of an issuer.
#[derive(Clone)]
pub struct Issuer {
    /// `kid`, which tokens must carry.
    pub kid: String,
    /// The audience that tokens must be for.
    pub audience: String,
    algorithm: Algorithm,
    /// A public key's bytes as its algorithm wants them, or the secret.
    key: Redacted<Vec<u8>>,
}

/// A file that is no key of its algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no {expected}")]
pub struct InvalidKey {
    expected: &'static str,
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `asset`: an id or a slug.
    Asset(String),
    /// `channel`.
    Channel(String),
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Key and `jti` together: what may be used once.
    pub once: String,
    /// `exp`, in seconds since the Unix epoch.
    pub expires_s: i64,
    /// What it opens.
    pub target: Target,
    /// `actions`; without the claim, to play.
    pub actions: Actions,
}

/// Of `jti`.
const ID_LENGTH_MAX: usize = 256;
/// RFC 7518 §3.2 asks for as many bytes as the hash has.
const SECRET_LENGTH_MIN: usize = 32;

/// The DER of a SubjectPublicKeyInfo up to its key, which has a fixed length (RFC 8410 §4, RFC 5480
/// §2.2). DER has one form for each value, so that comparing bytes is exact.
const ED25519_HEAD: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// rsaEncryption with its NULL parameters (RFC 3279 §2.3.1), and the tag of the bit string after it.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

impl Issuer {
    /// A key from its file: PEM of a public key, or the secret itself.
    ///
    /// # Errors
    /// The file holds something else.
    pub fn new(
        kid: String,
        algorithm: Algorithm,
        file: &[u8],
        audience: String,
    ) -> Result<Self, InvalidKey> {
        let key = match algorithm {
            Algorithm::Hs256 => secret(file),
            Algorithm::EdDsa => public(file, |der| der.strip_prefix(ED25519_HEAD)),
            Algorithm::Es256 => public(file, |der| der.strip_prefix(P256_HEAD)),
            Algorithm::Rs256 => public(file, rsa),
        };
        let expected = match algorithm {
            Algorithm::EdDsa => "Ed25519 public key in PEM",
            Algorithm::Es256 => "P-256 public key in PEM",
            Algorithm::Rs256 => "RSA public key in PEM",
            Algorithm::Hs256 if is_pem(file) => {
                "secret but a PEM, and whoever has a public key could sign with it"
            }
            Algorithm::Hs256 => "secret of 32 bytes or more",
        };
        Ok(Self {
            kid,
            audience,
            algorithm,
            key: Redacted::new(key.ok_or(InvalidKey { expected })?),
        })
    }

    fn signed(&self, signed: &str, signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::Hs256 => return hs256_fits(self.key.expose(), signed, signature),
            Algorithm::EdDsa => &ED25519,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, self.key.expose())
            .verify(signed.as_bytes(), signature)
            .is_ok()
    }
}

/// Reads and verifies a token of one of `issuers`.
///
/// # Errors
/// Why not.
pub fn open(issuers: &[Issuer], token: &str, now_s: i64) -> Result<Claims, TokenError> {
    let parts = Parts::parse(token)?;
    let kid = parts.header.get("kid").and_then(Value::as_str);
    let issuer = issuers
        .iter()
        .find(|issuer| Some(issuer.kid.as_str()) == kid);
    let issuer = issuer.ok_or(TokenError::UnknownKey)?;
    if !parts.is_signed_with(issuer.algorithm.name()) {
        return Err(TokenError::Algorithm);
    }
    if !issuer.signed(parts.signed, &parts.signature) {
        return Err(TokenError::Forged);
    }
    let expires_s = parts.expiry(now_s)?;
    let for_us = match parts.claims.get("aud") {
        Some(Value::String(audience)) => *audience == issuer.audience,
        Some(Value::Array(all)) => all.iter().any(|a| a.as_str() == Some(&issuer.audience)),
        _ => return Err(TokenError::Claim("aud")),
    };
    if !for_us {
        return Err(TokenError::Audience);
    }
    let id = parts.text("jti")?;
    if id.is_empty() || id.len() > ID_LENGTH_MAX {
        return Err(TokenError::Claim("jti"));
    }
    Ok(Claims {
        once: format!("{}\n{id}", issuer.kid),
        expires_s,
        target: target(&parts)?,
        actions: actions(&parts)?,
    })
}

impl Algorithm {
    /// As `alg` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

fn target(parts: &Parts<'_>) -> Result<Target, TokenError> {
    match (parts.claims.get("asset"), parts.claims.get("channel")) {
        (Some(_), None) => Ok(Target::Asset(parts.text("asset")?.to_owned())),
        (None, Some(_)) => Ok(Target::Channel(parts.text("channel")?.to_owned())),
        _ => Err(TokenError::Claim("asset")),
    }
}

fn actions(parts: &Parts<'_>) -> Result<Actions, TokenError> {
    let error = TokenError::Claim("actions");
    let Some(claim) = parts.claims.get("actions") else {
        return Ok(Actions::PLAY);
    };
    let words = claim.as_array().ok_or(error)?;
    let mut all: Option<Actions> = None;
    for word in words {
        let action = word
            .as_str()
            .and_then(|word| word.parse().ok())
            .ok_or(error)?;
        all = Some(all.map_or(action, |before| before.and(action)));
    }
    all.ok_or(error)
}

fn secret(file: &[u8]) -> Option<Vec<u8>> {
    let secret = file.trim_ascii_end();
    (secret.len() >= SECRET_LENGTH_MIN && !is_pem(file)).then(|| secret.to_vec())
}

/// A public key as a secret would let everybody sign (RFC 8725 §2.1).
fn is_pem(file: &[u8]) -> bool {
    file.trim_ascii_start().starts_with(b"-----BEGIN ")
}

fn public(file: &[u8], key_of: impl Fn(&[u8]) -> Option<&[u8]>) -> Option<Vec<u8>> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(file).ok()?;
    key_of(&der).map(<[u8]>::to_vec)
}

/// `SEQUENCE { algorithm, BIT STRING { RSAPublicKey } }`, with lengths of two bytes as keys from 2048
/// bits on have them.
fn rsa(der: &[u8]) -> Option<&[u8]> {
    let (&[0x30, 0x82, _, _], rest) = der.split_first_chunk::<4>()? else {
        return None;
    };
    let rest = rest.strip_prefix(RSA_ALGORITHM)?;
    let (&[0x03, 0x82, high, low, 0x00], key) = rest.split_first_chunk::<5>()? else {
        return None;
    };
    (usize::from(u16::from_be_bytes([high, low])) == key.len() + 1).then_some(key)
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
