//! `GET /api/files/stream`: the bytes of a mounted file, for who holds a grant for it or a key.

use std::io;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use grant::{Actions, Admitted, Wanted};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use usenet::{File, ReadError};

use super::address;
use crate::auth::has_key;
use crate::error::Problem;
use crate::media::UNBUFFERED;
use crate::ranged::{Represented, Selected, watched};
use crate::state::App;
use crate::vod::Caller;

/// What the query says.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    path: String,
    grant: Option<String>,
    download_key: Option<String>,
}

/// Tells parts of a body from each other.
const BOUNDARY_BYTES: usize = 16;

/// The bytes of a mounted file: whole, one range, or several. `path` is `{mount}/{path}` or
/// `{category}/{name}/{path}`.
#[utoipa::path(get, path = "/api/files/stream", tag = "usenet",
    params(("path" = String, Query), ("grant" = Option<String>, Query), ("download_key" = Option<String>, Query)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206, content_type = "application/octet-stream"),
        (status = 304), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem), (status = 416, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn stream(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let located = address::locate(&app.usenet.engine, &asked.path);
    let has_key = has_key(&app, &headers)
        || (asked.download_key.as_deref())
            .is_some_and(|key| app.keys.verify_download_key(key).is_some());
    let admitted = match (&asked.grant, &located) {
        _ if has_key => None,
        (None, _) => return Err(Problem::needs_grant()),
        // Without a right to it nobody learns which files there are.
        (Some(_), None) => return Err(grant::Refused::OtherScope.into()),
        (Some(grant), Some(located)) => {
            let subject = address::subject(located.id, located.path);
            let ask = caller.ask(Wanted::File(&subject), Actions::PLAY);
            let now_ms = app.grants.now_ms();
            Some(app.grants.gate().admit(grant, &ask, now_ms)?)
        }
    };
    let gone = || Problem::not_found("there is no such file, or not any more");
    let located = located.ok_or_else(gone)?;
    let mount = located.mount.ok_or_else(gone)?;
    let file = address::open(&mount, located.path)?;
    serve(&app, &file, &method, &headers, admitted).await
}

/// A file's answer, for whoever may have it. Its first bytes are here before the head is sent, so that
/// what cannot be read is no 200.
pub(crate) async fn serve(
    app: &App,
    file: &File,
    method: &Method,
    headers: &HeaderMap,
    admitted: Option<Admitted>,
) -> Result<Response, Problem> {
    let etag = file.etag();
    let shown = Represented {
        length: file.size(),
        etag: &etag,
        mime: file.info().media_type,
    };
    let selected = shown.select(method, headers)?;
    let is_head = method == Method::HEAD;
    let mut response = match &selected {
        Selected::NotModified => shown.respond(&selected, Body::empty()),
        Selected::Parts(parts) => {
            let multipart = shown.multipart(parts, &boundary()?);
            let (mime, length) = (multipart.mime, multipart.length);
            let pieces = stream::iter(multipart.parts).flat_map({
                let file = file.clone();
                move |(head, part)| {
                    let bytes = file.read(part.start..part.end).into_stream();
                    stream::iter([Ok(head)]).chain(bytes)
                }
            });
            let bytes = pieces.chain(stream::iter([Ok(multipart.end)]));
            let mut response = shown.respond(&selected, body(app, bytes, admitted));
            response.headers_mut().insert(CONTENT_TYPE, mime);
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
            response
        }
        Selected::Whole | Selected::Part(_) if is_head => shown.respond(&selected, Body::empty()),
        Selected::Whole | Selected::Part(_) => {
            let range = match selected {
                Selected::Part(part) => part.start..part.end,
                _ => 0..file.size(),
            };
            let mut reader = file.read(range);
            let first = reader.next().await.transpose()?;
            let bytes = stream::iter(first.map(Ok)).chain(reader.into_stream());
            shown.respond(&selected, body(app, bytes, admitted))
        }
    };
    let name = utf8_percent_encode(file.info().name(), NON_ALPHANUMERIC);
    let value = HeaderValue::try_from(format!("inline; filename*=UTF-8''{name}"));
    let headers = response.headers_mut();
    headers.extend(value.map(|value| (CONTENT_DISPOSITION, value)));
    // nginx would fetch a gigabyte of articles for a player that wants ten seconds.
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    Ok(response)
}

/// Counted, and ended with the grant.
fn body(
    app: &App,
    bytes: impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static,
    admitted: Option<Admitted>,
) -> Body {
    let counting = app.clone();
    let bytes = bytes.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counting.usenet.count_out(chunk.len() as u64);
        }
    });
    Body::from_stream(watched(app.clone(), bytes.boxed(), admitted))
}

fn boundary() -> Result<String, Problem> {
    let mut random = [0; BOUNDARY_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        let error = io::Error::other(error);
        Problem::new(base::ErrorKind::Internal, "random", error.to_string())
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
