//! The tokens of `/stream/hls`: JWTs with HS256, `sub` = `hls`, `pfx` = the key prefix below which they
//! are good, `exp`. Others who know the secret mint them too.
//!
//! Ours carry one claim more, `grant`: so they end with their session, their share and their asset.

use std::fmt;

use serde_json::json;

use crate::TokenError;
use crate::jwt::{Parts, hs256_fits, sign_hs256};

/// So far a minter's clock may be ahead of ours.
const CLOCKS_APART_S: i64 = 60;

/// What a token says.
#[derive(Clone, PartialEq, Eq)]
pub struct HlsToken {
    /// `pfx`.
    pub prefix: String,
    /// `exp`, in seconds since the Unix epoch.
    pub expires_s: i64,
    /// When it was made: `iat`. Not every minter says so.
    pub made_s: Option<i64>,
    /// Our own claim.
    pub grant: Option<String>,
}

/// A token for `prefix`.
pub fn mint(secret: &[u8], prefix: &str, expires_s: i64, grant: &str) -> String {
    let claims = json!({ "sub": "hls", "pfx": prefix, "exp": expires_s, "grant": grant });
    sign_hs256(secret, &claims)
}

/// Reads and verifies a token.
///
/// # Errors
/// Why not; [`TokenError::Subject`] only for a token that is otherwise good.
pub fn open(secret: &[u8], token: &str, now_s: i64) -> Result<HlsToken, TokenError> {
    let parts = Parts::parse(token)?;
    if !parts.is_signed_with("HS256") {
        return Err(TokenError::Algorithm);
    }
    if !hs256_fits(secret, parts.signed, &parts.signature) {
        return Err(TokenError::Forged);
    }
    let expires_s = parts.expiry(now_s)?;
    if parts.text("sub") != Ok("hls") {
        return Err(TokenError::Subject);
    }
    // It would pass for made after any revocation until then.
    let made_s = parts.date("iat")?;
    if made_s.is_some_and(|s| s > now_s.saturating_add(CLOCKS_APART_S)) {
        return Err(TokenError::Early);
    }
    let grant = match parts.claims.get("grant") {
        None => None,
        Some(_) => Some(parts.text("grant")?.to_owned()),
    };
    Ok(HlsToken {
        prefix: parts.text("pfx")?.to_owned(),
        expires_s,
        made_s,
        grant,
    })
}

impl fmt::Debug for HlsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HlsToken")
            .field("expires_s", &self.expires_s)
            .finish_non_exhaustive()
    }
}
