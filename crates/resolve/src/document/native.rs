//! Perennial's own form.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Code, Refusal, headers, link, text};
use crate::entry::Entry;

pub(super) fn entries(
    document: &Value,
    now_ms: i64,
) -> Result<Vec<Result<Entry, String>>, Refusal> {
    if let Some(error) = document.get("error") {
        return Err(refusal(error));
    }
    let entries = document
        .get("entries")
        .and_then(Value::as_array)
        .ok_or_else(|| Refusal::transient("output has neither \"entries\" nor \"error\""))?;
    let read = entries.iter().enumerate();
    Ok(read
        .map(|(index, value)| entry(index, value, now_ms))
        .collect())
}

fn refusal(error: &Value) -> Refusal {
    let code = Code::parse(&text(error, "code")).unwrap_or(Code::Transient);
    let retry_after = error.get("retry_after_s").and_then(Value::as_f64);
    let retry_after = retry_after.and_then(|s| Duration::try_from_secs_f64(s).ok());
    Refusal {
        retry_after,
        ..Refusal::new(code, text(error, "detail"))
    }
}

fn entry(index: usize, value: &Value, now_ms: i64) -> Result<Entry, String> {
    let title = text(value, "title");
    let id = match value.get("id") {
        Some(Value::String(id)) if !id.is_empty() => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => {
            return Err(format!(
                "entry {index} ({title:?}) has no id: it is the only sign by which a fresh link is known \
                 to be the same stream"
            ));
        }
    };
    let at = |reason: String| format!("entry {id:?} {reason}");
    Ok(Entry {
        url: link(value, "url").map_err(at)?,
        kind: word(value, "kind").map_err(at)?,
        refresh: word(value, "refresh").map_err(at)?,
        headers: headers(value, "headers"),
        quality: text(value, "quality"),
        language: text(value, "language"),
        live: value.get("live").and_then(Value::as_bool),
        expires_ms: expires_ms(value, now_ms).map_err(at)?,
        title,
        id,
    })
}

/// One of the words of an enumeration, or its default.
fn word<T: Default + for<'de> Deserialize<'de>>(value: &Value, name: &str) -> Result<T, String> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(word) => T::deserialize(word).map_err(|error| format!("has a bad {name}: {error}")),
    }
}

/// `expires_at` as a Unix time or as RFC 3339, or `ttl_s`.
fn expires_ms(value: &Value, now_ms: i64) -> Result<Option<i64>, String> {
    if let Some(ttl_s) = value.get("ttl_s").filter(|ttl| !ttl.is_null()) {
        let ttl_s = ttl_s.as_f64().filter(|ttl_s| *ttl_s > 0.0);
        let ttl_s = ttl_s.ok_or("has a ttl_s that is no number above 0")?;
        return Ok(Some(now_ms.saturating_add((ttl_s * 1000.0) as i64)));
    }
    match value.get("expires_at") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let number = number.as_f64().filter(|number| *number > 0.0);
            let at_ms = number.and_then(|number| crate::expiry::epoch_ms(number as u64));
            at_ms
                .map(Some)
                .ok_or_else(|| "has an expires_at that is no Unix time".to_owned())
        }
        Some(Value::String(text)) => {
            let at = text.parse::<jiff::Timestamp>();
            at.map(|at| Some(at.as_millisecond()))
                .map_err(|error| format!("has a bad expires_at: {error}"))
        }
        Some(_) => Err("has an expires_at that is neither a number nor a date".to_owned()),
    }
}
