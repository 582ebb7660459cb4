//! `GET /vod/{asset}/{grant}/{path}` and `GET /download/{asset}/{grant}/{name}`: a grant in the path, so
//! that relative URIs, Cast and Safari work without query strings.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use grant::{Actions, Admitted, Wanted};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use uuid::Uuid;
use vod::{Answer, Asked, Delivery, Rendered, disposition};

use super::Caller;
use crate::error::Problem;
use crate::media;
use crate::ranged::{Represented, Selected, watched};
use crate::state::App;

/// Nobody else may keep what a grant opened.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("private, no-store");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// `GET /vod/{asset}/{grant}/{path}`.
pub(crate) async fn file(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, grant, path) = parts(uri.path(), "/vod/")?;
    let admitted = admit(&app, &caller, asset, grant, Actions::PLAY)?;
    let asset = app.vod.asset(&asset.to_string()).await?;
    let asked = asked(path, &method, &headers);
    let delivery = app.vod.serve(&asset, asked).await?;
    Ok(match delivery {
        Delivery::Playlist(rendered) => playlist(&rendered, &headers),
        Delivery::Redirect(url) => redirect(url.as_str()),
        Delivery::Body(answer) => body(&app, answer, Some(admitted), &headers),
    })
}

/// `GET /download/{asset}/{grant}/{name}`: the original, to be saved. The name is for people.
pub(crate) async fn download(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, grant, name) = parts(uri.path(), "/download/")?;
    let admitted = admit(&app, &caller, asset, grant, Actions::DOWNLOAD)?;
    let asset = app.vod.asset(&asset.to_string()).await?;
    let answer = app
        .vod
        .original(&asset, asked(name, &method, &headers))
        .await?;
    let name = asset.save_as(app.vod.file_key(&asset, true)?);
    let mut response = body(&app, answer, Some(admitted), &headers);
    if let Ok(value) = HeaderValue::try_from(disposition(&name)) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A playlist, packed if the player takes it.
pub(super) fn playlist(rendered: &Rendered, request: &HeaderMap) -> Response {
    let gzip = media::accepts_gzip(request);
    let bytes = if gzip {
        rendered.gzip()
    } else {
        rendered.identity.clone()
    };
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media::PLAYLIST);
    headers.insert(CACHE_CONTROL, PLAYLIST_CACHE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn redirect(url: &str) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    // Percent-encoded, hence ASCII.
    if let Ok(location) = HeaderValue::try_from(url) {
        headers.insert(LOCATION, location);
    }
    // The browser asks here each time, so that a revoked grant ends; what the URL leads to it may keep.
    headers.insert(CACHE_CONTROL, PLAYLIST_CACHE);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    response
}

/// An object's bytes; those of a grant end with it.
fn body(app: &App, answer: Answer, admitted: Option<Admitted>, request: &HeaderMap) -> Response {
    let file = Represented {
        length: answer.meta.length,
        etag: answer.meta.etag.as_str(),
        mime: answer.mime,
    };
    let selected = match answer.part {
        _ if file.is_known(request) => Selected::NotModified,
        Some(part) => Selected::Part(part),
        None => Selected::Whole,
    };
    let body = match answer.body.filter(|_| selected != Selected::NotModified) {
        Some(object) => Body::from_stream(watched(app.clone(), object, admitted)),
        None => Body::empty(),
    };
    file.respond(&selected, body)
}

fn admit(
    app: &App,
    caller: &Caller,
    asset: Uuid,
    grant: &str,
    action: Actions,
) -> Result<Admitted, Problem> {
    let ask = caller.ask(Wanted::Asset(asset), action);
    Ok(app.grants.gate().admit(grant, &ask, app.grants.now_ms())?)
}

/// Asset, grant and the rest of a path, as it was sent: nothing here is decoded but by the library.
fn parts<'a>(path: &'a str, face: &str) -> Result<(Uuid, &'a str, &'a str), Problem> {
    let rest = path.strip_prefix(face).unwrap_or_default();
    let mut parts = rest.splitn(3, '/');
    let (asset, grant, path) = (parts.next(), parts.next(), parts.next());
    let asset = asset.and_then(|asset| asset.parse().ok());
    match (asset, grant, path) {
        (Some(asset), Some(grant), Some(path)) if !path.is_empty() => Ok((asset, grant, path)),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}

fn asked<'a>(path: &'a str, method: &Method, headers: &'a HeaderMap) -> Asked<'a> {
    let range = media::range(method, headers);
    Asked {
        path,
        head: method == Method::HEAD,
        range: range.and_then(|range| range.to_str().ok()),
    }
}
