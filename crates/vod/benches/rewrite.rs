//! The playlist of four hours of video in 3,600 segments, rewritten: `cargo bench -p vod`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Redacted, Time};
use divan::Bencher;
use hls::playlist::{Document, Limits};
use vod::{Bucket, Flavour, Prefix, Presign, S3Spec, render};

const KEY: &str = "processed/film/v0/index.m3u8";

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Time {
        Time::ZERO
    }

    fn unix_ms(&self) -> i64 {
        1_800_000_000_000
    }
}

fn main() {
    divan::main();
}

fn text() -> String {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    for n in 0..3600 {
        write!(text, "#EXTINF:4.000,\nsegment_{n:05}.ts\n").expect("a String takes it");
    }
    text + "#EXT-X-ENDLIST\n"
}

/// From the store's bytes to the viewer's: decoded, each URI confined and named anew, encoded.
fn rewrite(text: &str, flavour: Flavour<'_>) -> Vec<u8> {
    let prefix = Prefix::new("processed/film").expect("a prefix");
    let document = Document::parse(text.as_bytes(), &Limits::default()).expect("a playlist");
    render(&document, "lib", KEY, &prefix, flavour)
        .expect("it is safe")
        .render()
}

#[divan::bench]
fn path(bencher: Bencher<'_, '_>) {
    let text = text();
    bencher.bench(|| rewrite(&text, Flavour::default()));
}

#[divan::bench]
fn token(bencher: Bencher<'_, '_>) {
    let text = text();
    let flavour = Flavour {
        token: Some("eyJ"),
        media_base: Some("../../../vod/5c3f1c1e-7f57-4b6d-9d0c-2f0c6ad1a111/AQAAAAEAAAAAa/"),
        presign: None,
    };
    bencher.bench(|| rewrite(&text, flavour));
}

#[divan::bench]
fn presign(bencher: Bencher<'_, '_>) {
    let text = text();
    let spec = S3Spec {
        endpoint: Some("https://store.example".parse().expect("a url")),
        region: "auto".to_owned(),
        bucket: "bucket".to_owned(),
        path_style: true,
        access_key_id: Redacted::new("AKID".to_owned()),
        secret_access_key: Redacted::new("secret".to_owned()),
        session_token: None,
    };
    let client = fetch::Client::new(fetch::Settings::default()).expect("a client");
    let bucket = Bucket::new("lib", &spec, client, Arc::new(Still)).expect("a bucket");
    let presign = |key: &str| {
        let ttl = Duration::from_secs(300);
        let presign = Presign {
            key,
            head: false,
            disposition: None,
            ttl,
        };
        bucket.presign_steady(presign).into()
    };
    let flavour = Flavour {
        presign: Some(&presign),
        ..Flavour::default()
    };
    bencher.bench(|| rewrite(&text, flavour));
}
