//! What requests say in their queries and documents, where more than one way of writing it is understood.

use axum::extract::{FromRequestParts, Query};
use base::ErrorKind;
use http::request::Parts;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Problem;

/// A query; one that does not fit is a [`Problem`], so that its route can answer in its own shape.
#[derive(Debug)]
pub(crate) struct Options<T>(pub(crate) T);

/// A moment in milliseconds since the Unix epoch; written so, or as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Moment(pub(crate) i64);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Options<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(options) = query.map_err(|rejection| {
            Problem::new(ErrorKind::Invalid, "bad_query", rejection.body_text())
        })?;
        Ok(Self(options))
    }
}

/// `?download`, `?download=1`, `?download=True`: what clients in several languages make of true.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let word = String::deserialize(from)?;
    match word.to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(D::Error::custom("give true or false")),
    }
}

/// Tells a `null` from an absent field.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Milliseconds(i64),
            Text(String),
        }
        let wanted = "a moment is milliseconds since the Unix epoch, or RFC 3339 with its offset";
        match Written::deserialize(from).map_err(|_| D::Error::custom(wanted))? {
            Written::Milliseconds(ms) => Ok(Self(ms)),
            Written::Text(text) => match text.parse::<Timestamp>() {
                Ok(at) => Ok(Self(at.as_millisecond())),
                Err(_) => Err(D::Error::custom(wanted)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Asked {
        #[serde(default, deserialize_with = "flag")]
        download: bool,
    }

    #[test]
    fn true_is_written_in_several_ways() {
        let check = |query: &str, expected: Option<bool>| {
            let uri = format!("/?{query}").parse().unwrap();
            let asked = Query::<Asked>::try_from_uri(&uri).ok();
            assert_eq!(asked.map(|asked| asked.download), expected, "{query}");
        };
        for query in [
            "download",
            "download=",
            "download=1",
            "download=True",
            "download=true",
        ] {
            check(query, Some(true));
        }
        for query in ["", "download=0", "download=False", "other=1"] {
            check(query, Some(false));
        }
        check("download=maybe", None);
    }

    #[test]
    fn a_moment_is_a_number_or_a_date() {
        let check = |json: &str, expected: Option<i64>| {
            let moment = serde_json::from_str::<Moment>(json).ok();
            assert_eq!(moment.map(|moment| moment.0), expected, "{json}");
        };
        check("1795255200000", Some(1_795_255_200_000));
        check("\"2026-11-21T10:00:00Z\"", Some(1_795_255_200_000));
        check("\"2026-11-21T11:00:00.000+01:00\"", Some(1_795_255_200_000));
        for bad in [
            "\"2026-11-21\"",
            "\"2026-11-21T10:00:00\"",
            "\"\"",
            "1.5",
            "true",
        ] {
            check(bad, None);
        }
    }
}
