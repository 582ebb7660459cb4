//! `GET /channels.m3u`: all channels for players that read M3U lists.

use std::fmt::Write;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use live::Channel;
use serde::Deserialize;

use crate::client::BaseUrl;
use crate::error::Problem;
use crate::state::App;

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    format: Option<String>,
}

/// The list; `?format=ts` names continuous transport streams.
pub(crate) async fn channels(
    State(app): State<App>,
    Query(options): Query<Options>,
    BaseUrl(base_url): BaseUrl,
) -> Result<Response, Problem> {
    if app.viewers_need_grants() {
        return Err(Problem::needs_grant());
    }
    list(&app, &options, &format!("{base_url}/live"))
}

/// The list for who holds a grant for all channels; each of them under this grant.
pub(crate) fn of_grant(
    app: &App,
    query: Option<&str>,
    base_url: &str,
    grant: &str,
) -> Result<Response, Problem> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let format = pairs.find(|(name, _)| name == "format");
    let options = Options {
        format: format.map(|(_, value)| value.into_owned()),
    };
    list(app, &options, &format!("{base_url}/live/g/{grant}"))
}

fn list(app: &App, options: &Options, below: &str) -> Result<Response, Problem> {
    let suffix = match options.format.as_deref() {
        None | Some("hls" | "m3u8") => "/index.m3u8",
        Some("ts") => ".ts",
        Some(other) => {
            let detail = format!(
                "format {:?} is not offered",
                other.chars().take(20).collect::<String>()
            );
            return Err(Problem::new(base::ErrorKind::Invalid, "format", detail)
                .hint("leave it out, or say hls or ts"));
        }
    };
    let mut text = String::from("#EXTM3U\n");
    for channel in app.live.channels() {
        entry(&mut text, &channel, below, suffix);
    }
    let headers = [
        (CONTENT_TYPE, "audio/x-mpegurl; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, text).into_response())
}

fn entry(text: &mut String, channel: &Channel, below: &str, suffix: &str) {
    let spec = channel.spec();
    let title = if spec.title.is_empty() {
        spec.id.as_str()
    } else {
        &spec.title
    };
    let tvg_id = if spec.tvg_id.is_empty() {
        spec.id.as_str()
    } else {
        &spec.tvg_id
    };
    let _ = write!(
        text,
        "#EXTINF:-1 tvg-id=\"{}\" tvg-name=\"{}\"",
        plain(tvg_id),
        plain(title)
    );
    if !spec.logo.is_empty() {
        let _ = write!(text, " tvg-logo=\"{}\"", plain(&spec.logo));
    }
    if !spec.group.is_empty() {
        let _ = write!(text, " group-title=\"{}\"", plain(&spec.group));
    }
    let _ = writeln!(
        text,
        ",{}\n{below}/{}{suffix}",
        plain(title).replace(',', " "),
        spec.id
    );
}

/// Attribute values have no escapes: quotes and line breaks would end them.
fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| {
            if c == '"' {
                '\''
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect()
}
