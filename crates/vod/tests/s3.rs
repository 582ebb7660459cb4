//! Libraries against a real S3 server, and directories, from the outside of the crate.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod gear;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::{ByteRange, Clock, ErrorKind, RangeSet, Redacted, Time};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use gear::{ACCESS_KEY, BUCKET, Fault, S3};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use store::{Location, Store};
use testkit::wait_until;
use vod::{
    Asked, Asset, Bucket, Delivery, Error, File, Kind, LibrarySpec, NewAsset, Object, Presign,
    S3Spec, ScanStatus, Segments, Vod, Where,
};

/// The system's clock, or one that is off.
#[derive(Debug, Default)]
struct Off(AtomicI64);

impl Clock for Off {
    fn now(&self) -> Time {
        Time::ZERO
    }

    fn unix_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_millis() as i64 + self.0.load(Ordering::Relaxed)
    }
}

fn client() -> fetch::Client {
    let settings = fetch::Settings {
        spacing: Duration::ZERO,
        at_once: 32,
        hosts: vec![(format!("{BUCKET}.localhost"), vec![[127, 0, 0, 1].into()])],
        ..fetch::Settings::default()
    };
    fetch::Client::new(settings).unwrap()
}

/// One that stands still.
#[derive(Debug)]
struct At(AtomicI64);

impl Clock for At {
    fn now(&self) -> Time {
        Time::ZERO
    }

    fn unix_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn bucket(spec: &S3Spec) -> Bucket {
    bucket_by(spec, 0)
}

/// Our clock is that far ahead.
fn bucket_by(spec: &S3Spec, off_ms: i64) -> Bucket {
    let clock = Arc::new(Off(AtomicI64::new(off_ms)));
    Bucket::new("lib", spec, client(), clock).unwrap()
}

async fn vod(place: Where, segments: Segments) -> Vod {
    vod_by(Arc::new(Off::default()), place, segments).await
}

async fn vod_by(clock: Arc<dyn Clock>, place: Where, segments: Segments) -> Vod {
    let store = Store::open(&Location::Memory).await.unwrap();
    let vod = Vod::new(client(), store, clock);
    let presign_ttl = Duration::from_secs(300);
    vod.apply(vec![LibrarySpec {
        id: "lib".into(),
        place,
        segments,
        presign_ttl,
    }])
    .unwrap();
    vod
}

async fn film(vod: &Vod, prefix: &str) -> Arc<Asset> {
    vod.add(new(prefix)).await.unwrap()
}

fn new(prefix: &str) -> NewAsset {
    NewAsset {
        library: "lib".into(),
        kind: Kind::Video,
        processed_key: None,
        prefix: Some(prefix.into()),
        raw_key: None,
        name: "Film".into(),
        download_name: None,
        slug: None,
    }
}

fn asked(path: &str) -> Asked<'_> {
    Asked { path, head: false }
}

async fn text(vod: &Vod, asset: &Asset, path: &str) -> Result<String, Error> {
    match vod.serve(asset, asked(path)).await? {
        Delivery::Playlist(rendered) => Ok(String::from_utf8(rendered.identity.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

async fn collect(object: Object) -> Result<Bytes, Error> {
    let all = object.try_fold(BytesMut::new(), async |mut all, bytes| {
        all.extend_from_slice(&bytes);
        Ok(all)
    });
    Ok(all.await?.freeze())
}

async fn bytes(vod: &Vod, asset: &Asset, path: &str, range: Option<&str>) -> Result<Bytes, Error> {
    let file = file(vod, asset, path).await?;
    let range = match RangeSet::resolve(range, file.meta.length).unwrap() {
        RangeSet::Parts(parts) => Some(parts[0]),
        RangeSet::Whole => file.meta.whole(),
    };
    match range {
        Some(range) => collect(file.read(range).await?).await,
        None => Ok(Bytes::new()),
    }
}

async fn file(vod: &Vod, asset: &Asset, path: &str) -> Result<File, Error> {
    match vod.serve(asset, asked(path)).await? {
        Delivery::File(file) => Ok(file),
        other => panic!("{other:?}"),
    }
}

/// All of a file, as it comes.
async fn open(vod: &Vod, asset: &Asset, path: &str) -> Object {
    let file = file(vod, asset, path).await.unwrap();
    let whole = ByteRange {
        start: 0,
        end: file.meta.length,
    };
    file.read(whole).await.unwrap()
}

/// Bytes that tell where they stand.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n / 7 % 251) as u8).collect()
}

const MASTER: &str = "#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS=\"avc1.64001e,mp4a.40.2\"\r\nv 0/index.m3u8\r\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nseg 1.ts\n#EXTINF:2.5,\n100%25+ü.ts\n#EXT-X-ENDLIST\n";

fn put_film(s3: &S3, prefix: &str) {
    s3.put(&format!("{prefix}/master.m3u8"), MASTER);
    s3.put(&format!("{prefix}/v 0/index.m3u8"), MEDIA);
    s3.put(&format!("{prefix}/v 0/seg 1.ts"), pattern(100_000));
    s3.put(&format!("{prefix}/v 0/100%+ü.ts"), pattern(50_000));
}

/// A scan of the library, from beginning to end. There is one at a time.
async fn scan(vod: &Vod, prefix: &str) -> ScanStatus {
    vod.start_scan("lib", prefix).unwrap();
    let again = vod.start_scan("lib", prefix).unwrap_err();
    assert_eq!(
        (again.code(), again.kind()),
        ("scanning", ErrorKind::Conflict)
    );
    let finished = wait_until(Duration::from_secs(60), "the scan", async || {
        let status = vod.scan_status("lib").unwrap();
        status.filter(|status| !status.running)
    });
    finished.await.unwrap()
}

async fn status(url: &url::Url, method: &str, range: Option<&str>) -> (u16, Bytes) {
    let response = testkit_get(url, method, range).await;
    (response.0, response.1)
}

/// What a browser would send: not through the client under test.
async fn testkit_get(url: &url::Url, method: &str, range: Option<&str>) -> (u16, Bytes) {
    use http_body_util::{BodyExt, Empty};
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", host);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

#[tokio::test]
async fn only_what_is_signed_for_it_gets_an_object() {
    let s3 = S3::start().await;
    let key = "a b/ü+%/seg 1.ts";
    s3.put(key, pattern(1000));
    let virtual_hosted = S3Spec {
        path_style: false,
        endpoint: Some(
            format!("http://localhost:{}", s3.address.port())
                .parse()
                .unwrap(),
        ),
        ..s3.spec()
    };
    for spec in [s3.spec(), virtual_hosted] {
        let bucket = bucket(&spec);
        let presign = Presign {
            key,
            head: false,
            disposition: None,
            ttl: Duration::from_secs(300),
        };
        let url = bucket.presign(presign);
        let head = bucket.presign(Presign {
            head: true,
            ..presign
        });

        assert_eq!(status(&url, "GET", None).await, (200, pattern(1000).into()));
        assert_eq!(
            status(&url, "GET", Some("bytes=10-19")).await,
            (206, pattern(1000)[10..20].to_vec().into())
        );
        assert_eq!(status(&head, "HEAD", None).await.0, 200);
        assert_eq!(status(&bucket.unsigned(key), "GET", None).await.0, 403);
        assert_eq!(status(&head, "GET", None).await.0, 403);
        assert_eq!(status(&url, "HEAD", None).await.0, 403);
        let other: url::Url = url.as_str().replace("seg", "sag").parse().unwrap();
        assert_eq!(status(&other, "GET", None).await.0, 403);
        let longer: url::Url = url
            .as_str()
            .replace("Expires=300", "Expires=3000")
            .parse()
            .unwrap();
        assert_eq!(status(&longer, "GET", None).await.0, 403);
        let old = bucket_by(&spec, -301_000).presign(presign);
        assert_eq!(status(&old, "GET", None).await.0, 403);

        let query: Vec<_> = url
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        assert_eq!(
            query,
            [
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Date",
                "X-Amz-Expires",
                "X-Amz-SignedHeaders",
                "X-Amz-Signature"
            ]
        );
        assert!(
            url.as_str().contains("AWS4-HMAC-SHA256")
                && url.as_str().contains("SignedHeaders=host&")
        );

        assert_eq!(bucket.get(key, 1000).await.unwrap().1, pattern(1000));
        assert_eq!(bucket.head(key).await.unwrap().length, 1000);
        let missing = bucket.get("nothing", 1000).await.unwrap_err();
        assert_eq!(
            (missing.kind(), missing.code()),
            (ErrorKind::NotFound, "no_file")
        );
    }
    let wrong = S3Spec {
        secret_access_key: Redacted::new("wrong".into()),
        ..s3.spec()
    };
    let refused = bucket(&wrong).get(key, 1000).await.unwrap_err();
    assert!(
        matches!(refused, Error::Refused { status: 403, .. }),
        "{refused}"
    );
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_presigned_url_stays_the_same_for_half_its_life_and_is_never_good_for_a_week_more() {
    let s3 = S3::start().await;
    let token = S3Spec {
        session_token: Some(Redacted::new("temporary".into())),
        ..s3.spec()
    };
    let clock = Arc::new(At(AtomicI64::new(0)));
    let bucket = Bucket::new("lib", &token, client(), clock.clone()).unwrap();
    let presign = |ttl: u64, at_s: i64| {
        clock.0.store(at_s * 1000, Ordering::Relaxed);
        let presign = Presign {
            key: "a",
            head: false,
            disposition: None,
            ttl: Duration::from_secs(ttl),
        };
        bucket.presign_steady(presign)
    };
    let begin = 1_800_000_000;
    assert_eq!(presign(300, begin), presign(300, begin + 149));
    assert_ne!(presign(300, begin), presign(300, begin + 150));
    let text = presign(300, begin + 149).to_string();
    assert!(
        text.contains("X-Amz-Date=20270115T080000Z") && text.contains("Expires=300"),
        "{text}"
    );
    assert!(text.contains("X-Amz-Security-Token=temporary"));
    assert!(
        presign(9_999_999, begin)
            .as_str()
            .contains("Expires=604800")
    );
    assert!(presign(0, begin).as_str().contains("Expires=1&"));
    assert_ne!(presign(1, begin), presign(1, begin + 1));
}

#[tokio::test]
async fn a_files_url_is_good_for_an_hour_from_when_it_is_given_out() {
    let s3 = S3::start().await;
    s3.put("a.jpg", "a picture");
    let vod = vod(Where::S3(s3.spec()), Segments::Redirect).await;
    let picture = NewAsset {
        kind: Kind::Image,
        prefix: None,
        processed_key: Some("a.jpg".into()),
        raw_key: Some("a.jpg".into()),
        ..new("")
    };
    let picture = vod.add(picture).await.unwrap();
    for download in [false, true] {
        let url = vod.file_url(&picture, download).unwrap().unwrap();
        let query: HashMap<_, _> = url.query_pairs().collect();
        let dated = DateTime::strptime("%Y%m%dT%H%M%SZ", &*query["X-Amz-Date"]).unwrap();
        let dated = dated.to_zoned(TimeZone::UTC).unwrap().timestamp();
        let ago_ms = Off::default().unix_ms() - dated.as_millisecond();
        assert!((0..10_000).contains(&ago_ms), "{url}");
        assert_eq!(query["X-Amz-Expires"], "3600");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_by_hours_is_noticed_and_bridged() {
    let s3 = S3::start().await;
    s3.put("a", "bytes");
    for hours in [-5, 3] {
        let bucket = bucket_by(&s3.spec(), hours * 3_600_000);
        let got = bucket.get("a", 100).await.unwrap();
        assert_eq!(got.1, "bytes");
        let off = bucket.skew_ms() + hours * 3_600_000;
        assert!(off.abs() < 5_000, "{off}");
        let presign = Presign {
            key: "a",
            head: false,
            disposition: None,
            ttl: Duration::from_secs(60),
        };
        let url = bucket.presign(presign);
        assert_eq!(status(&url, "GET", None).await.0, 200);
    }
}

#[tokio::test]
async fn a_long_transfer_takes_no_clock_along() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    s3.put("f/long.ts", pattern(18 << 20));
    // An hour slow, until somebody sets it while the transfer runs.
    let clock = Arc::new(Off(AtomicI64::new(-3_600_000)));
    let vod = vod_by(clock.clone(), Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    let skew_s = || {
        let library = vod.library("lib").unwrap();
        library.bucket().unwrap().skew_ms() / 1000
    };
    let mut body = open(&vod, &asset, "long.ts").await;
    let begun = body.next().await.unwrap().unwrap();
    assert!((3590..=3610).contains(&skew_s()), "{}", skew_s());
    clock.0.store(0, Ordering::Relaxed);
    let rest = collect(body).await.unwrap();
    assert!([begun, rest].concat() == pattern(18 << 20));
    assert_eq!(skew_s(), 0);
}

#[tokio::test]
async fn each_mode_names_what_it_should() {
    let s3 = S3::start().await;
    put_film(&s3, "pub/film 1");
    for segments in [Segments::Redirect, Segments::Presign, Segments::Tunnel] {
        let vod = vod(Where::S3(s3.spec()), segments).await;
        let asset = film(&vod, "pub/film 1").await;
        let probe = asset.facts.probe.clone().unwrap();
        assert_eq!((probe.duration_ms, probe.error), (Some(6500), None));
        assert_eq!(
            probe.bytes,
            Some((MASTER.len() + MEDIA.len() + 150_000) as u64)
        );
        assert_eq!(
            (probe.variants[0].height, probe.codecs),
            (
                Some(360),
                vec!["avc1.64001e".into(), "mp4a.40.2".to_owned()]
            )
        );

        assert_eq!(
            text(&vod, &asset, "master.m3u8").await.unwrap(),
            MASTER.replace("v 0/", "v%200/")
        );
        let media = text(&vod, &asset, "v%200/index.m3u8").await.unwrap();
        let served = vod
            .serve(&asset, asked("v%200/100%25%2B%C3%BC.ts"))
            .await
            .unwrap();
        match segments {
            Segments::Presign => {
                let urls: Vec<url::Url> = media
                    .lines()
                    .filter(|l| l.starts_with("http"))
                    .map(|l| l.parse().unwrap())
                    .collect();
                assert_eq!(
                    status(&urls[1], "GET", None).await,
                    (200, pattern(50_000).into())
                );
            }
            _ => assert!(
                media.contains("\nseg%201.ts\n") && media.contains("\n100%25%2B%C3%BC.ts\n"),
                "{media}"
            ),
        }
        match served {
            Delivery::Redirect(url) => {
                assert_ne!(segments, Segments::Tunnel);
                assert_eq!(
                    status(&url, "GET", None).await,
                    (200, pattern(50_000).into())
                );
            }
            Delivery::File(file) => {
                assert_eq!(segments, Segments::Tunnel);
                assert_eq!((file.mime, file.meta.length), ("video/MP2T", 50_000));
                let whole = file.read(file.meta.whole().unwrap()).await.unwrap();
                assert_eq!(collect(whole).await.unwrap(), pattern(50_000));
            }
            Delivery::Playlist(_) => panic!("a segment is no playlist"),
        }
        let below = asset.facts.prefix.as_deref().unwrap();
        let token = vod
            .playlist_with_token(&asset, below, "v%200/index.m3u8", "T", "vod/A/G/")
            .await
            .unwrap();
        let token = String::from_utf8(token.identity.to_vec()).unwrap();
        if segments != Segments::Presign {
            assert!(
                token.contains("\n../../../vod/A/G/v%200/seg%201.ts\n"),
                "{token}"
            );
        }
        let master = vod
            .playlist_with_token(&asset, below, "master.m3u8", "T", "vod/A/G/")
            .await
            .unwrap();
        assert!(String::from_utf8_lossy(&master.identity).contains("v%200/index.m3u8?token=T\r\n"));
        for (path, code) in [
            ("v%200/seg%201.ts", "not_a_playlist"),
            ("../x.m3u8", "bad_path"),
            ("no.m3u8", "no_file"),
        ] {
            let error = vod
                .playlist_with_token(&asset, below, path, "T", "")
                .await
                .unwrap_err();
            assert_eq!(error.code(), code, "{path}");
        }
    }
}

#[tokio::test]
async fn a_key_of_aes_128_always_comes_through_here() {
    let s3 = S3::start().await;
    s3.put("f/master.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"k/1.key\"\n#EXTINF:4,\na.ts\n");
    s3.put("f/k/1.key", [7; 16]);
    for segments in [Segments::Redirect, Segments::Presign, Segments::Tunnel] {
        let vod = vod(Where::S3(s3.spec()), segments).await;
        let asset = film(&vod, "f").await;
        assert!(
            text(&vod, &asset, "master.m3u8")
                .await
                .unwrap()
                .contains("URI=\"k/1.key\"")
        );
        assert_eq!(
            bytes(&vod, &asset, "k/1.key", None).await.unwrap(),
            [7; 16][..]
        );
    }
}

#[tokio::test]
async fn a_thousand_viewers_cost_one_request() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    s3.take_seen();
    let readers = (0..200).map(|_| {
        let (vod, asset) = (vod.clone(), asset.clone());
        tokio::spawn(async move {
            text(&vod, &asset, "v%200/index.m3u8").await.unwrap();
            bytes(&vod, &asset, "v%200/seg%201.ts", None).await.unwrap()
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), pattern(100_000));
    }
    assert_eq!(
        bytes(&vod, &asset, "v%200/seg%201.ts", Some("bytes=50-99"))
            .await
            .unwrap(),
        pattern(100_000)[50..100]
    );
    let seen = s3.take_seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn every_range_of_a_long_object_is_exact() {
    let s3 = S3::start().await;
    const LENGTH: usize = 18 << 20;
    let whole = pattern(LENGTH);
    s3.put(
        "f/master.m3u8",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nall.ts\n#EXT-X-ENDLIST\n",
    );
    s3.put("f/all.ts", &whole);
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    let block = 4 << 20;
    for (start, end) in [
        (0, LENGTH),
        (0, 1),
        (LENGTH - 1, LENGTH),
        (block - 1, block + 1),
        (block, 2 * block),
        (3 * block - 5, 4 * block + 5),
        (1_000_003, 17_000_001),
    ] {
        let range = format!("bytes={start}-{}", end - 1);
        let got = bytes(&vod, &asset, "all.ts", Some(&range)).await.unwrap();
        assert!(got == whole[start..end], "{range}: {} bytes", got.len());
    }
    assert!(bytes(&vod, &asset, "all.ts", None).await.unwrap() == whole);
    // What is in the cache is asked for once: the opening and one request for each block.
    let asked: Vec<_> = s3
        .take_seen()
        .into_iter()
        .filter(|seen| seen.target.contains("all.ts"))
        .collect();
    assert_eq!(
        asked.iter().filter(|seen| seen.range.is_some()).count(),
        5,
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_unwell_is_told_from_one_that_lacks_a_file() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    for (fault, kind, code) in [
        (Fault::Status(403), ErrorKind::Corrupt, "store_refused"),
        (Fault::Status(404), ErrorKind::NotFound, "no_file"),
        (Fault::Status(500), ErrorKind::Unavailable, "store_unwell"),
        (Fault::Status(503), ErrorKind::Unavailable, "store_unwell"),
        (Fault::Status(429), ErrorKind::Unavailable, "store_unwell"),
        (Fault::Status(418), ErrorKind::Corrupt, "store_unwell"),
        (Fault::Cut, ErrorKind::Unavailable, "store_unwell"),
    ] {
        s3.set_fault(Some(fault.clone()));
        for path in ["v%200/index.m3u8", "v%200/seg%201.ts"] {
            let error = if path.ends_with("ts") {
                bytes(&vod, &asset, path, None).await.unwrap_err()
            } else {
                text(&vod, &asset, path).await.unwrap_err()
            };
            assert_eq!(
                (error.kind(), error.code()),
                (kind, code),
                "{fault:?} {path}: {error}"
            );
            let told = error.told();
            for secret in [BUCKET, ACCESS_KEY, "127.0.0.1", "Signature", "seg"] {
                assert!(!told.contains(secret), "{told}");
            }
            assert!(
                !error.to_string().contains(ACCESS_KEY) && !error.to_string().contains("Signature"),
                "{error}"
            );
        }
        s3.set_fault(None);
    }
    // What failed is not remembered.
    text(&vod, &asset, "v%200/index.m3u8").await.unwrap();
    assert_eq!(
        bytes(&vod, &asset, "v%200/seg%201.ts", None).await.unwrap(),
        pattern(100_000)
    );
}

#[tokio::test]
async fn a_store_that_does_not_list_keeps_nothing_else_from_us() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    for (words, probed) in [("list-type=2", Some(6500)), ("master.m3u8", None)] {
        s3.set_fault(Some(Fault::StatusOf(words, 403)));
        let asset = film(&vod, "f").await;
        let probe = asset.facts.probe.clone().unwrap();
        assert_eq!((probe.duration_ms, probe.bytes), (probed, None), "{words}");
        assert_eq!(probe.error.is_none(), probed.is_some(), "{words}");
        vod.delete(&asset.id.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_registers_nothing_while_its_store_is_unwell() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let of = async || vod.asset_of_token("f", "v%200/index.m3u8").await;
    for (words, status, kind) in [
        ("f/master.m3u8", 403, ErrorKind::Corrupt),
        ("f/master.m3u8", 500, ErrorKind::Unavailable),
        ("f/", 500, ErrorKind::Unavailable),
    ] {
        s3.set_fault(Some(Fault::StatusOf(words, status)));
        let error = of().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{words} {status}: {error}");
        assert_eq!(vod.assets("", None).await.unwrap().assets, []);
    }
    s3.set_fault(None);
    assert_eq!(of().await.unwrap().facts.prefix.as_deref(), Some("f"));
}

#[tokio::test]
async fn a_directory_that_is_away_is_no_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let (root, away) = (dir.path().join("library"), dir.path().join("away"));
    std::fs::create_dir_all(root.join("f/v 0")).unwrap();
    std::fs::write(root.join("f/master.m3u8"), MASTER).unwrap();
    std::fs::write(root.join("f/v 0/index.m3u8"), MEDIA).unwrap();
    let vod = vod(Where::Dir(root.clone()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    std::fs::rename(&root, &away).unwrap();
    let error = bytes(&vod, &asset, "v%200/seg%201.ts", None).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    let scanned = scan(&vod, "").await;
    assert!(scanned.gone == 0 && scanned.error.is_some(), "{scanned:?}");
    std::fs::rename(&away, &root).unwrap();
    assert!(vod.wanted(&asset.id.to_string()).await.unwrap().is_ready());
}

#[tokio::test]
async fn what_is_no_playlist_is_told_so() {
    let s3 = S3::start().await;
    s3.put("f/master.m3u8", "<html>Sign in</html>");
    s3.put(
        "f/itself.m3u8",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nitself.m3u8\n",
    );
    s3.put(
        "f/out.m3u8",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n../g/secret.ts\n",
    );
    s3.put(
        "f/query.m3u8",
        "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXTINF:4,\n{$token}.ts\n",
    );
    s3.put("f/large.m3u8", vec![b'#'; 50 << 20]);
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    assert!(
        asset
            .facts
            .probe
            .as_ref()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .contains("#EXTM3U")
    );
    for (path, code, told) in [
        ("master.m3u8", "bad_playlist", "does not begin with #EXTM3U"),
        ("itself.m3u8", "unsafe_playlist", "is the playlist itself"),
        (
            "out.m3u8",
            "unsafe_playlist",
            "line 4: the uri leaves the prefix",
        ),
        (
            "query.m3u8",
            "bad_playlist",
            "line 2: a variable is not defined",
        ),
        (
            "large.m3u8",
            "too_long",
            "the playlist is longer than 4 MiB",
        ),
    ] {
        let error = text(&vod, &asset, path).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            (code, ErrorKind::Corrupt),
            "{path}: {error}"
        );
        let said = error.told();
        assert!(said.contains(told), "{said}");
        // What lies in the store does not speak to viewers.
        for word in ["Sign in", "html", "token"] {
            assert!(!said.contains(word), "{said}");
        }
    }
}

#[tokio::test]
async fn variables_are_imported_from_the_first_playlist() {
    let s3 = S3::start().await;
    s3.put("f/master.m3u8", "#EXTM3U\n#EXT-X-DEFINE:NAME=\"dir\",VALUE=\"parts\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n");
    s3.put(
        "f/v.m3u8",
        "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"dir\"\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{$dir}/a.ts\n",
    );
    let vod = vod(Where::S3(s3.spec()), Segments::Redirect).await;
    let asset = film(&vod, "f").await;
    assert!(
        text(&vod, &asset, "v.m3u8")
            .await
            .unwrap()
            .contains("\nparts/a.ts\n")
    );
}

#[tokio::test]
async fn a_scan_registers_everything_once() {
    let s3 = S3::start().await;
    for n in 0..30 {
        put_film(&s3, &format!("lib/sub/film {n}"));
    }
    // A film in a folder of a film is part of it, and so is what ends in .mp4 there.
    put_film(&s3, "lib/sub/film 1/extras");
    s3.put("lib/sub/film 2/v 0/init.mp4", "x");
    s3.put("lib/pictures/a.JPG", "x");
    s3.put("lib/sound/a.flac", "xy");
    s3.put("lib/raw/movie.mp4", "xyz");
    s3.put("lib/notes.txt", "x");
    for n in 0..1100 {
        s3.put(&format!("lib/sub/film 3/v 0/{n}.ts"), "x");
    }
    put_film(&s3, "other/film");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let first = scan(&vod, "lib/").await;
    assert_eq!(
        (first.added, first.known, first.unplayable, first.error),
        (33, 0, 0, None)
    );
    assert!(first.seen > 1200 && first.finished_ms >= Some(first.started_ms));
    let second = scan(&vod, "lib/").await;
    assert_eq!((second.added, second.known), (0, 33));
    let found = vod.assets("film 3", None).await.unwrap();
    let film = found
        .assets
        .iter()
        .find(|asset| asset.facts.name == "film 3")
        .unwrap();
    let bytes = MASTER.len() + MEDIA.len() + 150_000 + 1100;
    assert_eq!(film.facts.probe.as_ref().unwrap().bytes, Some(bytes as u64));
    let sound = &vod.assets("", None).await.unwrap().assets;
    let sound = sound
        .iter()
        .find(|asset| asset.facts.kind == Kind::Audio)
        .unwrap();
    assert_eq!(
        (
            sound.facts.raw_key.as_deref(),
            sound.save_as("lib/sound/a.flac")
        ),
        (Some("lib/sound/a.flac"), "a.flac".into())
    );
    assert_eq!(
        vod.start_scan("none", "").unwrap_err().code(),
        "unknown_library"
    );
    assert_eq!(
        vod.start_scan("lib", "../x").unwrap_err().code(),
        "bad_path"
    );
    s3.set_fault(Some(Fault::Status(403)));
    let refused = scan(&vod, "lib/").await;
    assert_eq!(
        refused.error.as_deref(),
        Some("the library's store refuses the gateway")
    );
}

#[tokio::test]
async fn what_an_asset_cannot_be_is_refused_by_name() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let bad = |change: fn(&mut NewAsset)| {
        let mut new = new("f");
        change(&mut new);
        let vod = vod.clone();
        async move { vod.add(new).await.unwrap_err() }
    };
    assert_eq!(
        bad(|new| new.library = "none".into()).await.code(),
        "unknown_library"
    );
    for error in [
        bad(|new| new.name = String::new()).await,
        bad(|new| new.name = "a\nb".into()).await,
        bad(|new| new.prefix = Some(String::new())).await,
        bad(|new| new.prefix = Some("../f".into())).await,
        bad(|new| new.processed_key = Some("g".into())).await,
        bad(|new| new.kind = Kind::Audio).await,
        bad(|new| new.slug = Some("No Slug".into())).await,
        bad(|new| new.slug = Some("00000000-0000-4000-8000-000000000000".into())).await,
        bad(|new| (new.prefix, new.processed_key) = (None, Some("master.m3u8".into()))).await,
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let asset = film(&vod, "f").await;
    let again = vod.add(new("f/")).await.unwrap_err();
    assert!(matches!(again, Error::Taken { what: "place", id } if id == asset.id.to_string()));
    let unready = vod
        .add(NewAsset {
            prefix: None,
            raw_key: Some("raw.mov".into()),
            ..new("")
        })
        .await
        .unwrap();
    assert_eq!(
        vod.serve(&unready, asked("master.m3u8"))
            .await
            .unwrap_err()
            .code(),
        "not_ready"
    );
    assert_eq!(
        vod.asset("nobody").await.unwrap_err().code(),
        "unknown_asset"
    );

    // A token from elsewhere knows a prefix that nobody registered.
    put_film(&s3, "elsewhere/f");
    let of = async |prefix: &str, path: &str| match vod.asset_of_token(prefix, path).await {
        Ok(asset) => Ok((asset.id, asset.facts.prefix.clone().unwrap_or_default())),
        Err(error) => Err(error.told()),
    };
    let first = of("elsewhere/f", "v%200/index.m3u8").await.unwrap();
    assert_eq!(first.1, "elsewhere/f");
    for (prefix, path) in [
        ("elsewhere/f/", "master.m3u8"),
        ("elsewhere", "f/master.m3u8"),
        ("elsewhere", "f/v%200/index.m3u8"),
    ] {
        assert_eq!(
            of(prefix, path).await.as_ref(),
            Ok(&first),
            "{prefix} {path}"
        );
    }
    s3.put("bare/v/list.m3u8", MEDIA);
    assert_eq!(of("bare", "v/list.m3u8").await.unwrap().1, "bare/v");
    for (prefix, path, told) in [
        (
            "elsewhere/g",
            "a%20b/master.m3u8",
            "there is no playlist \"a%20b/master.m3u8\" below the token's prefix",
        ),
        ("", "master.m3u8", "the path is empty"),
        (
            "elsewhere/f",
            "../g/master.m3u8",
            "the path has a dot segment",
        ),
        (
            "elsewhere/f",
            "v%200/seg%201.ts",
            "the path is not that of a playlist",
        ),
    ] {
        assert_eq!(of(prefix, path).await, Err(told.to_owned()), "{path}");
    }
    // A token's narrower prefix is a wall of its own.
    assert_eq!(
        of("elsewhere/f/v 0", "index.m3u8").await.unwrap().1,
        "elsewhere/f/v 0"
    );
}

#[tokio::test]
async fn a_token_is_served_from_the_library_that_has_its_playlist() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |library: &str, film: &str| {
        let folder = dir.path().join(library).join(film);
        std::fs::create_dir_all(folder.join("v 0")).unwrap();
        std::fs::write(folder.join("master.m3u8"), MASTER).unwrap();
        std::fs::write(folder.join("v 0/index.m3u8"), MEDIA).unwrap();
    };
    folder("one", "films/a");
    folder("two", "films/a");
    folder("two", "films/a/extra");
    folder("two", "films/b");
    let store = Store::open(&Location::Memory).await.unwrap();
    let vod = Vod::new(client(), store, Arc::new(Off::default()));
    let spec = |id: &str| LibrarySpec {
        id: id.into(),
        place: Where::Dir(dir.path().join(id)),
        segments: Segments::Tunnel,
        presign_ttl: Duration::from_secs(300),
    };
    vod.apply(vec![spec("one"), spec("two")]).unwrap();
    for (library, prefix) in [
        ("one", "films/a"),
        ("two", "films/a/extra"),
        ("two", "films/a"),
    ] {
        let new = NewAsset {
            library: library.into(),
            ..new(prefix)
        };
        vod.add(new).await.unwrap();
    }
    for (path, library, prefix) in [
        ("a/master.m3u8", "one", "films/a"),
        ("a/v%200/index.m3u8", "one", "films/a"),
        ("a/extra/v%200/index.m3u8", "two", "films/a/extra"),
        ("b/master.m3u8", "two", "films/b"),
    ] {
        let asset = vod.asset_of_token("films", path).await.unwrap();
        let found = (asset.library.as_str(), asset.facts.prefix.as_deref());
        assert_eq!(found, (library, Some(prefix)), "{path}");
        let root = "vod/x/y/";
        let served = vod.playlist_with_token(&asset, "films", path, "t", root);
        let served = String::from_utf8(served.await.unwrap().identity.to_vec()).unwrap();
        if path.ends_with("index.m3u8") {
            let up = "../".repeat(2 + path.matches('/').count());
            assert!(
                served.contains(&format!("{up}vod/x/y/v%200/seg%201.ts")),
                "{served}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_of_a_library_outlives_its_configuration() {
    let (before, after) = (S3::start().await, S3::start().await);
    for (s3, length) in [(&before, 1), (&after, 2)] {
        put_film(s3, "f");
        let list = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:{length},\na.ts\n");
        s3.put("f/v 0/index.m3u8", list);
        s3.put("f/v 0/a.ts", pattern(length * 1000));
        s3.put("f/v 0/long.ts", vec![length as u8; 9 << 20]);
    }
    let vod = vod(Where::S3(before.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    let seen = async || {
        let list = text(&vod, &asset, "v%200/index.m3u8").await.unwrap();
        let short = bytes(&vod, &asset, "v%200/a.ts", None).await.unwrap();
        let long = bytes(&vod, &asset, "v%200/long.ts", Some("bytes=0-0")).await;
        (list.contains("#EXTINF:2"), short.len(), long.unwrap()[0])
    };
    assert_eq!(seen().await, (false, 1000, 1));
    let mut spec = vod.library("lib").unwrap().spec.clone();
    spec.place = Where::S3(after.spec());
    vod.apply(vec![spec]).unwrap();
    assert_eq!(seen().await, (true, 2000, 2));
}

#[tokio::test]
async fn a_directory_serves_what_lies_in_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("library");
    std::fs::create_dir_all(root.join("film 1/v 0")).unwrap();
    std::fs::write(root.join("film 1/master.m3u8"), MASTER).unwrap();
    std::fs::write(root.join("film 1/v 0/index.m3u8"), MEDIA).unwrap();
    std::fs::write(root.join("film 1/v 0/seg 1.ts"), pattern(300_000)).unwrap();
    std::fs::write(root.join("film 1/empty.ts"), "").unwrap();
    std::fs::write(dir.path().join("secret.ts"), "secret").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret.ts"), root.join("film 1/link.ts")).unwrap();
    std::os::unix::fs::symlink(dir.path(), root.join("film 1/up")).unwrap();
    let vod = vod(Where::Dir(root), Segments::Redirect).await;
    assert_eq!(scan(&vod, "").await.added, 1);
    let asset = vod.assets("film", None).await.unwrap().assets.remove(0);
    assert_eq!(asset.facts.probe.as_ref().unwrap().duration_ms, Some(6500));
    assert_eq!(
        text(&vod, &asset, "master.m3u8").await.unwrap(),
        MASTER.replace("v 0/", "v%200/")
    );
    let whole = pattern(300_000);
    assert_eq!(
        bytes(&vod, &asset, "v%200/seg%201.ts", None).await.unwrap(),
        whole
    );
    assert_eq!(
        bytes(&vod, &asset, "v%200/seg%201.ts", Some("bytes=-7"))
            .await
            .unwrap(),
        whole[299_993..]
    );
    assert_eq!(
        bytes(
            &vod,
            &asset,
            "v%200/seg%201.ts",
            Some("bytes=200000-200001")
        )
        .await
        .unwrap(),
        whole[200_000..200_002]
    );
    assert_eq!(bytes(&vod, &asset, "empty.ts", None).await.unwrap(), "");
    for path in [
        "link.ts",
        "up/secret.ts",
        "v%200",
        "nothing.ts",
        "v%200/seg%201.ts/x",
    ] {
        let error = bytes(&vod, &asset, path, None).await.unwrap_err();
        assert_eq!(error.code(), "no_file", "{path}: {error}");
    }
    assert_eq!(
        vod.file_url(&asset, true).unwrap_err().code(),
        "no_original"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_forgotten_however_soon_it_fails() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    for n in 0..100 {
        let path = format!("small-{n}.ts");
        s3.put(&format!("f/{path}"), "as small as a segment may be");
        s3.set_fault(Some(Fault::Cut));
        let error = bytes(&vod, &asset, &path, None).await.unwrap_err();
        assert_eq!(error.code(), "store_unwell", "{error}");
        s3.set_fault(None);
        let sent = bytes(&vod, &asset, &path, None).await.unwrap();
        assert_eq!(sent, "as small as a segment may be");
    }
}

#[tokio::test]
async fn a_reader_without_a_byte_gets_another_try() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let length = 9 << 20;
    s3.put("f/long.ts", pattern(length));
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    // Half of what is asked for comes, once: what lies behind it is asked for anew.
    for (path, length, range) in [
        ("v%200/seg%201.ts", 100_000, "bytes=60000-"),
        ("long.ts", length, "bytes=7340032-"),
    ] {
        s3.set_fault(Some(Fault::CutOnce));
        let sent = bytes(&vod, &asset, path, Some(range)).await.unwrap();
        let start = range[6..range.len() - 1].parse::<usize>().unwrap();
        assert!(sent == pattern(length)[start..], "{path}");
        s3.set_fault(None);
    }
}

#[tokio::test]
async fn a_scan_looks_again_at_what_failed_and_at_what_is_gone() {
    let s3 = S3::start().await;
    put_film(&s3, "lib/good");
    s3.put("lib/bad/master.m3u8", "<html>");
    put_film(&s3, "other/good");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let first = scan(&vod, "lib/").await;
    assert_eq!((first.added, first.unplayable, first.gone), (2, 1, 0));
    let named = async |name: &str| vod.assets(name, None).await.unwrap().assets.remove(0);
    let bad = named("bad").await;
    let id = bad.id.to_string();
    assert!(!bad.is_ready());
    let refused = vod.entry_path(&bad).unwrap_err();
    assert_eq!(
        (refused.code(), refused.kind()),
        ("not_ready", ErrorKind::Conflict)
    );
    assert!(
        refused.told().contains("does not begin with #EXTM3U"),
        "{}",
        refused.told()
    );
    // Looked at a moment ago: not again for everybody who asks.
    s3.take_seen();
    assert!(!vod.wanted(&id).await.unwrap().is_ready());
    assert_eq!(s3.take_seen().len(), 0);

    put_film(&s3, "lib/bad");
    std::fs::remove_dir_all(s3.path("lib/good")).unwrap();
    let second = scan(&vod, "lib/").await;
    assert_eq!((second.added, second.known, second.gone), (0, 1, 1));
    assert!(named("bad").await.is_ready() && vod.asset(&id).await.unwrap().is_ready());
    let gone = named("good").await;
    let said = gone.facts.probe.as_ref().unwrap().error.clone();
    assert_eq!(
        (gone.is_ready(), said.as_deref()),
        (false, Some("there is no such file"))
    );
    // What a store that is unwell keeps from us is not gone.
    s3.set_fault(Some(Fault::Status(500)));
    assert_eq!(scan(&vod, "lib/").await.gone, 0);
    assert!(named("bad").await.is_ready());
}

#[tokio::test]
async fn what_was_missing_is_looked_at_again_when_it_is_wanted() {
    let s3 = S3::start().await;
    let clock = Arc::new(Off::default());
    let vod = vod_by(clock.clone(), Where::S3(s3.spec()), Segments::Tunnel).await;
    let id = film(&vod, "f").await.id.to_string();
    put_film(&s3, "f");
    assert!(!vod.wanted(&id).await.unwrap().is_ready());
    clock.0.store(11_000, Ordering::Relaxed);
    assert!(vod.wanted(&id).await.unwrap().is_ready());
}

#[tokio::test]
async fn a_pipe_in_a_directory_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("f")).unwrap();
    std::fs::write(dir.path().join("f/master.m3u8"), MASTER).unwrap();
    let pipe = dir.path().join("f/pipe.ts");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let vod = vod(Where::Dir(dir.path().into()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    let asked = bytes(&vod, &asset, "pipe.ts", None);
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await;
    assert_eq!(answer.unwrap().unwrap_err().code(), "no_file");
}

#[tokio::test]
async fn a_reader_joins_a_transfer_midway() {
    let s3 = S3::start().await;
    put_film(&s3, "f");
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    let asset = film(&vod, "f").await;
    s3.take_seen();
    let segment = "v%200/seg%201.ts";
    let mut first = open(&vod, &asset, segment).await;
    let begun = first.next().await.unwrap().unwrap();
    let second = collect(open(&vod, &asset, segment).await).await.unwrap();
    let rest = collect(first).await.unwrap();
    assert_eq!([begun, rest].concat(), pattern(100_000));
    assert_eq!(second, pattern(100_000));
    assert_eq!(s3.take_seen().len(), 1);
}

/// What a channel shows while it has no source.
#[tokio::test]
async fn a_clip_is_a_transport_stream_in_one_piece() {
    let s3 = S3::start().await;
    let vod = vod(Where::S3(s3.spec()), Segments::Tunnel).await;
    put_film(&s3, "film");
    let whole = [pattern(100_000), pattern(50_000)].concat();
    let id = film(&vod, "film").await.id.to_string();
    assert_eq!(vod.clip(&id, 150_000).await.unwrap(), whole);

    s3.put("file.ts", pattern(1000));
    let file = NewAsset {
        prefix: None,
        raw_key: Some("file.ts".into()),
        slug: Some("file".into()),
        ..new("")
    };
    vod.add(file).await.unwrap();
    assert_eq!(vod.clip("file", 1000).await.unwrap(), pattern(1000));

    let refused = async |id: &str, max: u64| vod.clip(id, max).await.unwrap_err().to_string();
    assert!(refused(&id, 149_999).await.contains("too long"));
    assert!(refused("file", 999).await.contains("longer than 999"));
    assert!(refused("none", 1).await.contains("no asset"));
    for (prefix, tag, reason) in [
        ("mp4", "#EXT-X-MAP:URI=\"init.mp4\"", "fragmented MP4"),
        ("key", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"", "encrypted"),
        ("out", "#EXT-X-BITRATE:1", "prefix"),
    ] {
        let uri = if prefix == "out" {
            "../../film/v 0/seg 1.ts"
        } else {
            "a.ts"
        };
        let list =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{tag}\n#EXTINF:4,\n{uri}\n#EXT-X-ENDLIST\n");
        s3.put(&format!("{prefix}/master.m3u8"), list);
        let id = film(&vod, prefix).await.id.to_string();
        let said = refused(&id, 1000).await;
        assert!(said.contains(reason), "{said}");
    }
}
