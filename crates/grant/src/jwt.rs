//! JSON Web Tokens in compact form (RFC 7515 §7.1, RFC 7519): taken apart, not yet believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::TokenError;

/// Longer ones fit no request line.
const LENGTH_MAX: usize = 8 * 1024;

/// A token in parts. `claims` are what anybody could have written until the signature is checked.
pub(crate) struct Parts<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// What was signed: header and claims as they came.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > LENGTH_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let parts = Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: bytes(signature)?,
        };
        // Extensions that must be understood: there are none that we do (RFC 7515 §4.1.11).
        if parts.header.contains_key("crit") {
            return Err(TokenError::Malformed);
        }
        Ok(parts)
    }

    /// The algorithm that the token claims.
    pub(crate) fn is_signed_with(&self, algorithm: &str) -> bool {
        self.header.get("alg").and_then(Value::as_str) == Some(algorithm)
    }

    /// A claim that is text.
    pub(crate) fn text(&self, claim: &'static str) -> Result<&str, TokenError> {
        let value = self.claims.get(claim).and_then(Value::as_str);
        value.ok_or(TokenError::Claim(claim))
    }

    /// A NumericDate in whole seconds; `None` where the claim is absent.
    pub(crate) fn date(&self, claim: &'static str) -> Result<Option<i64>, TokenError> {
        let Some(value) = self.claims.get(claim) else {
            return Ok(None);
        };
        let seconds = value.as_f64().filter(|s| s.abs() < 1e15);
        // Parts of a second round down: a token never lives longer than it says.
        seconds
            .map(|s| Some(s.floor() as i64))
            .ok_or(TokenError::Claim(claim))
    }

    /// `exp`, which must be there and ahead of now; `nbf`, if it is there, must not.
    pub(crate) fn expiry(&self, now_s: i64) -> Result<i64, TokenError> {
        let expires = self.date("exp")?.ok_or(TokenError::Claim("exp"))?;
        if expires <= now_s {
            return Err(TokenError::Expired);
        }
        if self.date("nbf")?.is_some_and(|from| from > now_s) {
            return Err(TokenError::Early);
        }
        Ok(expires)
    }
}

/// HS256 in constant time.
pub(crate) fn hs256_fits(secret: &[u8], signed: &str, signature: &[u8]) -> bool {
    hs256(secret, signed).verify_slice(signature).is_ok()
}

/// A token signed with HS256.
pub(crate) fn sign_hs256(secret: &[u8], claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{claims}");
    let signature = hs256(secret, &signed).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(secret: &[u8], signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, TokenError> {
    match serde_json::from_slice(&bytes(part)?) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(TokenError::Malformed),
    }
}
