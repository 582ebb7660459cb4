//! A private library in Chromium: hls.js plays it in every mode, on the share page and on a page of
//! another origin, and nothing else than the gateway and short presigned requests is asked for.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod browser;
mod e2e;
mod film;
#[path = "../../vod/tests/gear/mod.rs"]
mod gear;

use browser::{Play, SMOOTH};
use e2e::Gateway;
use film::{Film, make};
use gear::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use http::Method;
use serde_json::{Value, json};

const PREFIX: &str = "processed/a film, 100% + ü";

async fn gateway(s3: &S3, segments: &str) -> Gateway {
    let toml = format!(
        "[[library]]\nid = \"media\"\nkind = \"s3\"\nendpoint = \"http://{}\"\nregion = \"ch-gva-2\"\n\
         bucket = \"{BUCKET}\"\npath_style = true\naccess_key_id_file = \"id\"\n\
         secret_access_key_file = \"secret\"\nsegments = \"{segments}\"\n",
        s3.address
    );
    Gateway::serve_beside(&toml, &[("id", ACCESS_KEY), ("secret", SECRET_KEY)]).await
}

async fn post(gateway: &Gateway, path: &str, input: Value) -> Value {
    let answer = gateway.admin(Method::POST, path, &input.to_string()).await;
    assert_eq!(
        answer.status,
        201,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    serde_json::from_slice(&answer.body).unwrap()
}

/// The film of [`store`], registered.
async fn registered(gateway: &Gateway) -> Value {
    let new = json!({ "library": "media", "kind": "video", "prefix": PREFIX, "name": "Film" });
    post(gateway, "/api/v1/assets", new).await
}

async fn store(film: Film) -> S3 {
    let s3 = S3::start().await;
    make(film, &s3.path(PREFIX)).await;
    s3
}

/// Every object answers 403 to who shows no signature; only presigned requests got anything.
async fn check_private(s3: &S3, gateway: &Gateway, mode: &str) {
    let seen = s3.take_seen();
    let unsigned: Vec<_> = seen
        .iter()
        .filter(|seen| seen.method != Method::OPTIONS && !seen.target.contains("X-Amz-Signature="))
        .collect();
    assert!(unsigned.is_empty(), "{unsigned:?}");
    let from_browser = seen.iter().any(|seen| seen.origin.is_some());
    assert_eq!(
        from_browser,
        mode != "tunnel",
        "{mode}: who asked the store"
    );
    for entry in walk(&s3.path(PREFIX)) {
        let key = entry
            .strip_prefix(s3.path(""))
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let url = format!("http://{}/{BUCKET}/{}", s3.address, vod::encode_path(&key));
        let answer = testkit::http::Client::new(e2e::SOON)
            .get(&url.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 403, "{key}");
    }
    // Our own requests are none of the player's.
    s3.take_seen();
    for secret in [SECRET_KEY, "X-Amz-Signature"] {
        assert!(!gateway.log().contains(secret));
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

async fn plays(film: Film, mode: &str) {
    let s3 = store(film).await;
    let gateway = gateway(&s3, mode).await;
    let asset = registered(&gateway).await;
    assert_eq!(asset["error"], Value::Null, "{asset}");
    assert!(asset["duration_ms"].as_u64().unwrap() > 20_000, "{asset}");
    let id = asset["id"].as_str().unwrap();
    let grant = post(&gateway, "/api/v1/grants", json!({ "asset": id })).await;
    let url = gateway.url(grant["url"].as_str().unwrap());
    // The player's page has an origin of its own.
    Play::of(url.as_str())
        .with("--seconds", 10)
        .run(SMOOTH)
        .await;
    check_private(&s3, &gateway, mode).await;
}

#[tokio::test]
async fn a_ladder_plays_by_redirect() {
    plays(Film::Ladder, "redirect").await;
}

#[tokio::test]
async fn a_ladder_plays_presigned() {
    plays(Film::Ladder, "presign").await;
}

#[tokio::test]
async fn a_ladder_plays_through_the_tunnel() {
    plays(Film::Ladder, "tunnel").await;
}

#[tokio::test]
async fn fragments_with_renditions_and_subtitles_play() {
    plays(Film::Fmp4, "redirect").await;
}

#[tokio::test]
async fn an_encrypted_film_plays() {
    plays(Film::Aes128, "redirect").await;
}

#[tokio::test]
async fn a_film_in_one_file_plays() {
    plays(Film::ByteRange, "tunnel").await;
}

#[tokio::test]
async fn a_share_link_plays_after_its_password() {
    let s3 = store(Film::Single).await;
    for mode in ["redirect", "tunnel"] {
        let gateway = gateway(&s3, mode).await;
        let asset = registered(&gateway).await;
        let id = asset["id"].as_str().unwrap();
        let path = format!("/api/v1/assets/{id}/shares");
        let share = post(
            &gateway,
            &path,
            json!({ "title": "The film", "password": "open sesame", "max_views": 1 }),
        )
        .await;
        let page = gateway.url(share["url"].as_str().unwrap());
        Play::of(page.as_str())
            .with("--as", "page")
            // Nothing starts before the password is there.
            .with("--start-timeout", 1)
            .with("--seconds", 12)
            .then(json!({ "wait": "#password" }))
            .then(json!({ "fill": "#password", "value": "open sesame" }))
            .then(json!({ "press": "Enter" }))
            .then(json!({ "wait": "video" }))
            // The same viewer: no second view, and no password again.
            .then(json!({ "at": 5, "reload": true }))
            .then(json!({ "wait": "video" }))
            .run("no-fatal,no-stalls,frames>0,advanced_s>4")
            .await;
        check_private(&s3, &gateway, mode).await;
        let log = gateway.log();
        assert!(!log.contains("open sesame") && !log.contains(share["token"].as_str().unwrap()));
    }
}
