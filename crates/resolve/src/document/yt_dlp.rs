//! `yt-dlp -J URL`: `{"title":…,"is_live":…,"formats":[{"format_id":…,"url":…,"protocol":…,"http_headers":{…}}]}`.

use serde_json::Value;

use super::{Refusal, headers, link, text};
use crate::entry::{Entry, Kind, Refresh};

pub(super) fn entries(document: &Value) -> Result<Vec<Result<Entry, String>>, Refusal> {
    let formats = document.get("formats").and_then(Value::as_array);
    // Of a direct link there is only one format, and it is the document itself.
    let alone = || document.get("url").map(|_| std::slice::from_ref(document));
    let formats = formats.map(Vec::as_slice).or_else(alone);
    let formats = formats.ok_or_else(|| Refusal::transient("output has no \"formats\""))?;
    let usable = formats.iter().filter_map(|format| {
        let kind = match text(format, "protocol").as_str() {
            "m3u8" | "m3u8_native" => Kind::Hls,
            "http" | "https" => Kind::File,
            // Fragments of DASH, storyboards, RTMP.
            _ => return None,
        };
        Some(entry(format, document, kind))
    });
    Ok(usable.collect())
}

fn entry(format: &Value, document: &Value, kind: Kind) -> Result<Entry, String> {
    let id = text(format, "format_id");
    let title = text(document, "title");
    if id.is_empty() {
        return Err(format!("a format of {title:?} has no format_id"));
    }
    let height = format.get("height").and_then(Value::as_u64);
    let quality = height.map_or_else(
        || text(format, "format_note"),
        |height| format!("{height}p"),
    );
    Ok(Entry {
        url: link(format, "url").map_err(|reason| format!("format {id:?} {reason}"))?,
        kind,
        headers: headers(format, "http_headers"),
        quality,
        language: text(format, "language"),
        live: document.get("is_live").and_then(Value::as_bool),
        expires_ms: None,
        refresh: Refresh::Overlap,
        title,
        id,
    })
}
