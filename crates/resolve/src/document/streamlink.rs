//! `streamlink --json URL`: `{"streams":{"720p":{"type":"hls","url":…,"headers":{…}},…},"metadata":{…}}` or
//! `{"error":"No playable streams found on this URL: …"}`.

use serde_json::Value;

use super::{Code, Refusal, headers, link, text};
use crate::entry::{Entry, Kind, Refresh};

pub(super) fn entries(document: &Value) -> Result<Vec<Result<Entry, String>>, Refusal> {
    if let Some(error) = document.get("error").and_then(Value::as_str) {
        let nothing =
            error.starts_with("No playable streams") || error.contains("No streams found");
        let code = if nothing {
            Code::NotLive
        } else {
            Code::Transient
        };
        return Err(Refusal::new(code, error));
    }
    let streams = document.get("streams").and_then(Value::as_object);
    let streams = streams.ok_or_else(|| Refusal::transient("output has no \"streams\""))?;
    let metadata = document.get("metadata").unwrap_or(&Value::Null);
    let title = text(metadata, "title");
    let title = if title.is_empty() {
        text(metadata, "author")
    } else {
        title
    };
    let usable = streams.iter().filter_map(|(quality, stream)| {
        let kind = match text(stream, "type").as_str() {
            "hls" => Kind::Hls,
            "http" => Kind::File,
            // Several inputs that only a muxer could join.
            _ => return None,
        };
        Some(entry(quality, stream, kind, &title))
    });
    Ok(usable.collect())
}

fn entry(quality: &str, stream: &Value, kind: Kind, title: &str) -> Result<Entry, String> {
    Ok(Entry {
        id: quality.to_owned(),
        title: title.to_owned(),
        url: link(stream, "url").map_err(|reason| format!("stream {quality:?} {reason}"))?,
        kind,
        headers: headers(stream, "headers"),
        quality: quality.to_owned(),
        language: String::new(),
        live: (kind == Kind::Hls).then_some(true),
        expires_ms: None,
        refresh: Refresh::Overlap,
    })
}
