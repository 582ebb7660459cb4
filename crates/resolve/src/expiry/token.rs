//! Tokens that stand anywhere: JWT (RFC 7519) and CWT (RFC 8392, as CTA-5007 puts it into URLs).
//!
//! No signature is looked at: the token is not ours to verify, only its end is of interest.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::{Expiry, cbor, epoch_ms};

/// Shorter is no token.
const LENGTH_MIN: usize = 16;
/// With or without padding, and whatever the last bits are.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Adds the end of a token that `text` is, or that stands behind a `name=` or between tildes in it.
pub(super) fn of_text(text: &str, found: &mut Vec<Expiry>) {
    let parts = text.split(['~', '&', ';', ',', '=', '!']);
    for part in parts.filter(|part| part.len() >= LENGTH_MIN) {
        let jwt = jwt_ms(part).map(|at_ms| ("jwt", at_ms));
        let end = jwt.or_else(|| cwt_ms(part).map(|at_ms| ("cwt", at_ms)));
        found.extend(end.map(|(carrier, at_ms)| Expiry { at_ms, carrier }));
    }
}

/// `header.claims.signature`, each base64url; the header is a JSON object that names its algorithm.
fn jwt_ms(text: &str) -> Option<i64> {
    let mut parts = text.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    parts.next()?;
    let object = |part: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()
    };
    object(header)?.get("alg")?;
    let claims = object(claims)?;
    let end = claims.get("exp")?;
    epoch_ms(
        end.as_u64()
            .or_else(|| end.as_f64().filter(|end| *end >= 0.0).map(|end| end as u64))?,
    )
}

fn cwt_ms(text: &str) -> Option<i64> {
    epoch_ms(cbor::cwt_expiry(&BASE64URL.decode(text).ok()?)?)
}
