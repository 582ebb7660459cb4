//! The embedded page: built by `make web`, committed, served without a network.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use rust_embed::RustEmbed;

use crate::media::accepts_gzip;
use crate::router::nothing;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Files;

/// Nothing from elsewhere but logos, and media from the origin `media` where a store sends players to itself;
/// no inline code; and no other site's frame around it. hls.js begins a track of subtitles with `data:,WEBVTT`.
fn policy(media: Option<&str>) -> String {
    let media = media.map_or_else(String::new, |origin| format!(" {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; font-src 'self'; \
         connect-src 'self'{media}; media-src 'self' blob: data:{media}; img-src 'self' data: http: https:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

const NO_CACHE: &str = "no-cache";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `GET /`.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    document("index.html", None, &headers).await
}

/// The page of a shared link, an entry of the same bundle, which asks for the link's JSON itself.
pub(crate) async fn share(media: Option<&str>, headers: &HeaderMap) -> Response {
    document("share/index.html", media, headers).await
}

/// `GET /assets/{file}`: named by their content.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let policy = [(CONTENT_SECURITY_POLICY, policy(None))]; // a worker has its own
    let file = file(&format!("assets/{name}"), IMMUTABLE, &headers).await;
    (policy, file).into_response()
}

/// A page whose media may also come from `media`.
async fn document(name: &str, media: Option<&str>, headers: &HeaderMap) -> Response {
    let policy = [(CONTENT_SECURITY_POLICY, policy(media))];
    (policy, file(name, NO_CACHE, headers).await).into_response()
}

async fn file(name: &str, cache: &'static str, request: &HeaderMap) -> Response {
    let Some(found) = Files::get(name) else {
        return nothing().await;
    };
    let headers = [
        (CONTENT_TYPE, mime(name)),
        (CACHE_CONTROL, cache),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (VARY, "Accept-Encoding"),
    ];
    // Fonts are packed already.
    if !name.ends_with(".woff2") && accepts_gzip(request) {
        let body = packed(name, &found.data, cache == IMMUTABLE);
        return (headers, [(CONTENT_ENCODING, "gzip")], body).into_response();
    }
    (headers, found.data).into_response()
}

/// Gzipped; what is named by its content once only. There are as many as there are embedded files.
fn packed(name: &str, data: &[u8], keep: bool) -> Bytes {
    static KEPT: Mutex<BTreeMap<String, Bytes>> = Mutex::new(BTreeMap::new());
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(body) = kept().get(name) {
        return body.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let body = encoder.write_all(data).and_then(|()| encoder.finish());
    let body = Bytes::from(body.expect("a vector takes all that is written"));
    if keep {
        kept().insert(name.to_owned(), body.clone());
    }
    body
}

fn mime(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::header::{ACCEPT_ENCODING, HeaderValue};

    use super::*;

    fn asking(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    async fn body(response: Response) -> Vec<u8> {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX);
        body.await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn what_is_packed_is_what_is_there() {
        let names = Files::iter().filter(|name| name.starts_with("assets/"));
        for name in names {
            let name = name.trim_start_matches("assets/").to_owned();
            let plain = body(asset(Path(name.clone()), HeaderMap::new()).await).await;
            for _ in ["first", "kept"] {
                let wants = asking(ACCEPT_ENCODING, "gzip, br");
                let packed = asset(Path(name.clone()), wants).await;
                let is_packed = packed.headers().contains_key(CONTENT_ENCODING);
                assert_eq!(is_packed, !name.ends_with(".woff2"), "{name}");
                let packed = body(packed).await;
                let mut unpacked = Vec::new();
                if is_packed {
                    let mut reader = flate2::read::GzDecoder::new(&packed[..]);
                    reader.read_to_end(&mut unpacked).unwrap();
                } else {
                    unpacked = packed;
                }
                assert!(unpacked == plain, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn the_page_of_a_share_may_play_from_its_store() {
        let page = share(Some("https://store.example"), &HeaderMap::new()).await;
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("connect-src 'self' https://store.example;"),
            "{policy}"
        );
    }
}
