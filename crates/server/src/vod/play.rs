//! `GET /vod/{asset}/{grant}/{path}` and `GET /download/{asset}/{grant}/{name}`: a grant in the path, so
//! that relative URIs, Cast and Safari work without query strings.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use grant::{Actions, Admitted, Wanted};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, LOCATION,
    RANGE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use uuid::Uuid;
use vod::{Answer, Asked, Delivery, Object, Rendered, disposition};

use super::Caller;
use crate::error::Problem;
use crate::media;
use crate::state::App;

/// Nobody else may keep what a grant opened.
const PLAYLIST_CACHE: HeaderValue = HeaderValue::from_static("private, no-store");
/// Media does not change under its name, but its grant may end: the viewer's own browser keeps it for
/// as long as seeking back makes sense.
const MEDIA_CACHE: HeaderValue = HeaderValue::from_static("private, max-age=300");
/// What a library holds is data, whatever it says of itself.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
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
    let etag = HeaderValue::try_from(answer.meta.etag.as_str()).ok();
    let known = request
        .get(IF_NONE_MATCH)
        .is_some_and(|tags| Some(tags) == etag.as_ref());
    let (status, length) = match answer.part {
        _ if known => (StatusCode::NOT_MODIFIED, None),
        Some(part) => (StatusCode::PARTIAL_CONTENT, Some(part.len())),
        None => (StatusCode::OK, Some(answer.meta.length)),
    };
    let body = match answer.body.filter(|_| !known) {
        Some(object) => Body::from_stream(watched(app.clone(), object, admitted)),
        None => Body::empty(),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.mime));
    headers.insert(CACHE_CONTROL, MEDIA_CACHE);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, INERT);
    headers.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    headers.extend(etag.map(|etag| (ETAG, etag)));
    if let Some(part) = answer.part.filter(|_| !known) {
        let value = format!(
            "bytes {}-{}/{}",
            part.start,
            part.end - 1,
            answer.meta.length
        );
        headers.extend(HeaderValue::try_from(value).map(|value| (CONTENT_RANGE, value)));
    }
    response
}

/// The bytes, until the grant that let them in ends.
fn watched(
    app: App,
    object: Object,
    admitted: Option<Admitted>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send {
    stream::unfold(Some((app, object, admitted)), async |state| {
        let (app, mut object, mut admitted) = state?;
        let next = object.next().await?;
        if let Some(admitted) = &mut admitted
            && let Err(refused) = app.grants.gate().may_go_on(admitted, app.grants.now_ms())
        {
            tracing::info!(session = %admitted.grant.session, %refused, "a transfer was ended");
            return Some((Err(std::io::Error::other("the grant has ended")), None));
        }
        match next {
            Ok(bytes) => Some((Ok(bytes), Some((app, object, admitted)))),
            Err(error) => {
                tracing::warn!(%error, "a transfer failed on its way");
                Some((Err(std::io::Error::other("the transfer failed")), None))
            }
        }
    })
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
    // RFC 9110 §14.2: ranges are of GET. One of something older than what is here would be a part of
    // something else: all of it, then.
    let ranged = method == Method::GET && !headers.contains_key(IF_RANGE);
    let range = headers.get(RANGE).filter(|_| ranged);
    Asked {
        path,
        head: method == Method::HEAD,
        range: range.and_then(|range| range.to_str().ok()),
    }
}
