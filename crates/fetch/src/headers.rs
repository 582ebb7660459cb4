//! The headers that a source's operator asks for, and how far they travel.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER, USER_AGENT};
use url::Url;

/// Request headers of a source, checked once, secret in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

/// Why a header cannot be one of a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {name:?} {reason}")]
pub struct InvalidHeader {
    name: String,
    reason: &'static str,
}

/// More is a mistake; servers refuse long before.
const HEADERS_MAX: usize = 32;

/// Headers that frame the message or that this crate sets from other fields of the request.
const NOT_FOR_SOURCES: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Headers {
    /// Checks `pairs` of name and value.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, InvalidHeader> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = name.as_ref();
            let invalid = |reason| InvalidHeader {
                name: name.chars().take(64).collect(),
                reason,
            };
            let key: HeaderName = name.parse().map_err(|_| invalid("is no header name"))?;
            if NOT_FOR_SOURCES.contains(&key.as_str()) {
                return Err(invalid("is set by the gateway and cannot be chosen"));
            }
            if headers.len() == HEADERS_MAX {
                return Err(invalid("is one too many: 32 are allowed"));
            }
            let mut value = HeaderValue::from_str(value.as_ref())
                .map_err(|_| invalid("has a value that cannot be sent"))?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        Ok(Self(headers))
    }

    /// What of these headers, meant for `from`, may be sent to `to`.
    ///
    /// All of them inside one origin (scheme, host and port), and when the same host merely moves
    /// from http to https on the default ports. Elsewhere only `User-Agent`, `Referer` and `Origin`,
    /// which CDNs check against hot-linking: `Authorization`, `Cookie` and anything unknown may be a
    /// credential.
    #[must_use]
    pub fn between(&self, from: &Url, to: &Url) -> Self {
        let upgraded = from.host() == to.host()
            && (from.scheme(), from.port()) == ("http", None)
            && (to.scheme(), to.port()) == ("https", None);
        if from.origin() == to.origin() || upgraded {
            return self.clone();
        }
        let kept = self
            .0
            .iter()
            .filter(|(name, _)| [ORIGIN, REFERER, USER_AGENT].contains(name));
        Self(
            kept.map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn kept(from: &str, to: &str) -> Vec<String> {
        let headers =
            Headers::new([("Authorization", "a"), ("X-Key", "k"), ("Referer", "r")]).unwrap();
        let headers = headers.between(&from.parse().unwrap(), &to.parse().unwrap());
        let mut names: Vec<_> = headers.map().keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn credentials_stay_inside_their_origin() {
        let all = ["authorization", "referer", "x-key"];
        assert_eq!(kept("http://a.example/x", "http://a.example:80/y?z"), all);
        assert_eq!(kept("http://a.example/x", "https://a.example/x"), all);
        for elsewhere in [
            "http://b.example/x",
            "http://a.example:8080/x",
            "https://a.example:8443/x",
            "http://sub.a.example/x",
        ] {
            assert_eq!(
                kept("http://a.example/x", elsewhere),
                ["referer"],
                "{elsewhere}"
            );
        }
        assert_eq!(
            kept("https://a.example/x", "http://a.example/x"),
            ["referer"]
        );
    }

    #[test]
    fn a_bad_header_is_named_and_its_value_is_not() {
        for (name, value) in [
            ("Host", "hunter2"),
            ("a b", "hunter2"),
            ("X-Key", "hunter2\r\nX: y"),
            ("range", "hunter2"),
        ] {
            let error = Headers::new([(name, value)]).unwrap_err().to_string();
            assert!(
                error.contains(name) && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(Headers::new((0..33).map(|n| (format!("x-{n}"), "v"))).is_err());
        let debug = format!("{:?}", Headers::new([("X-Key", "hunter2")]).unwrap());
        assert_eq!(debug, r#"{"x-key"}"#);
    }
}
