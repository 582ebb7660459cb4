//! Who administers: an API key with each request (`X-Api-Key`, or `Authorization: Bearer`).

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use url::Url;

use crate::error::Problem;
use crate::state::App;

/// Proof that the request carries a valid API key.
#[derive(Debug)]
pub(crate) struct Admin;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if has_key(app, &parts.headers) {
            Ok(Self)
        } else {
            Err(Problem::unauthorized())
        }
    }
}

pub(crate) fn has_key(app: &App, headers: &HeaderMap) -> bool {
    let direct = headers.get(API_KEY).and_then(|value| value.to_str().ok());
    direct
        .into_iter()
        .chain(bearer(headers))
        .any(|key| app.keys.verify(key).is_some())
}

/// `Authorization: Bearer …` (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Why a request without a key is not taken for one of this machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// `Host` names something else.
    #[error("Host is not this machine")]
    Host,
    /// `Origin` is another site.
    #[error("Origin is another site")]
    Origin,
}

/// A page of another site, or of another port of this machine, can make a browser here send requests to
/// us: it cannot choose `Host` (so names that resolve to us are caught) nor hide `Origin`.
pub fn is_of_this_machine(headers: &HeaderMap) -> Result<(), Foreign> {
    let host = headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .ok_or(Foreign::Host)?;
    // Only plain HTTP is served without an API key.
    let own = format!("http://{host}");
    if !names_loopback(&own) {
        return Err(Foreign::Host);
    }
    match headers.get(ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()) => Ok(()),
        Some(_) => Err(Foreign::Origin),
    }
}

fn names_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], expected: Result<(), Foreign>) {
        let map = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        assert_eq!(is_of_this_machine(&map), expected, "{headers:?}");
    }

    #[test]
    fn other_sites_are_told_from_this_machine() {
        check(&[(HOST, "127.0.0.1:5000")], Ok(()));
        check(
            &[(HOST, "[::1]:5000"), (ORIGIN, "http://[::1]:5000")],
            Ok(()),
        );
        for other in ["http://localhost:9999", "https://localhost:5000"] {
            check(
                &[(HOST, "localhost:5000"), (ORIGIN, other)],
                Err(Foreign::Origin),
            );
        }
        check(&[], Err(Foreign::Host));
        check(&[(HOST, "rebound.example:5000")], Err(Foreign::Host));
        check(&[(HOST, "localhost.evil.example")], Err(Foreign::Host));
        check(
            &[(HOST, "localhost"), (ORIGIN, "https://evil.example")],
            Err(Foreign::Origin),
        );
        check(
            &[(HOST, "localhost"), (ORIGIN, "null")],
            Err(Foreign::Origin),
        );
    }
}
