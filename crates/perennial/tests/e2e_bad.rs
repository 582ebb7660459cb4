//! Whatever a source or a client sends: a named error, and the others play on.

mod e2e;

use std::time::Duration;

use bytes::Bytes;
use e2e::{
    Answer, Canned, Connection, Gateway, KEY, LATE, SOON, channel, check_clean, check_stretch,
    header, until_played,
};
use http::Method;
use serde_json::Value;
use testkit::http::Client;
use testkit::origin::Target;
use testkit::{Clip, Fault, Origin, Spec};
use tokio::task::JoinSet;
use url::Url;

/// Resident memory that the gateway may take in these tests: a healthy channel, and one body of each bad source
/// at its limit (64 MiB for segments).
const MEMORY_MIB_MAX: u64 = 400;

async fn healthy() -> Origin {
    Origin::start(Spec::default())
        .await
        .expect("an origin starts")
}

/// Whether the channel names an error with these words, and which of its sources has it.
fn names(info: &Value, words: &str) -> bool {
    let errors = info["errors"].as_array().expect("a list");
    let named = |error: &Value| {
        error["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(words))
    };
    errors.iter().any(named)
        && info["sources"][0]["last_error"].is_string()
        && errors
            .iter()
            .all(|error| error["code"].is_string() && error["at_ms"].is_number())
}

/// Watches channels whose first requests need not be answered well, until each has named its error, while a healthy
/// channel plays on untouched.
async fn check(bad: &[(&str, Url, &str)]) {
    let origin = healthy().await;
    let channels = bad.iter().map(|(id, url, _)| channel(id, &[url]));
    let config = "[live]\nstart_timeout_s = 2\n".to_owned() + &channel("good", &[&origin.url()]);
    let gateway = Gateway::serve(&(config + &channels.collect::<String>())).await;
    let player = gateway.player("/live/good/index.m3u8").await;
    let mut viewers = JoinSet::new();
    for (id, ..) in bad {
        viewers.spawn(come_again(gateway.url(&format!("/live/{id}/index.m3u8"))));
    }
    for (id, _, words) in bad {
        gateway
            .until(LATE, id, words, |info| names(info, words))
            .await;
    }
    drop(viewers);
    let so_far = player.report().segments.len();
    until_played(&player, so_far + 3).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&origin, &report);
    let memory = gateway.memory_mib();
    assert!(memory < MEMORY_MIB_MAX, "{memory} MiB");
}

/// A viewer who asks again and again, whatever the answer: no fault of a source is one of the viewer's.
async fn come_again(url: Url) {
    let client = Client::new(LATE);
    let mut each = tokio::time::interval(Duration::from_millis(500));
    loop {
        each.tick().await;
        let answer = client.get(&url).await.expect("an answer");
        assert!(
            matches!(answer.status, 200 | 503),
            "{url}: {}",
            answer.status
        );
        // A ladder's tracks are loaded for those who ask for them.
        if String::from_utf8_lossy(&answer.body).contains("#EXT-X-STREAM-INF") {
            let track = url.join("v0/index.m3u8").expect("a relative URL");
            let answer = client.get(&track).await.expect("an answer");
            assert_eq!(answer.status, 503, "{track}");
        }
    }
}

fn list(segments: &str) -> Answer {
    Answer::playlist(format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segments}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_that_are_none_are_named() {
    let canned = Canned::start(|path| match path {
        "/many" => list(&"#EXTINF:2,\na.ts\n".repeat(50_001)),
        "/empty" => Answer::playlist(""),
        "/binary" => Answer::playlist((0..=255).cycle().take(10_000).collect::<Vec<u8>>()),
        "/latin" => Answer::playlist(&b"#EXTM3U\n\xff\xfe\n#EXT-X-TARGETDURATION:x\n"[..]),
        "/nothing" => list(""),
        "/self" => Answer::playlist("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself\n"),
        _ => Answer::not_found(),
    })
    .await;
    let faults = [
        Fault::HugePlaylist,
        Fault::LongLine,
        Fault::GzipBomb,
        Fault::RedirectLoop,
        Fault::Html,
    ];
    let mut origins = Vec::new();
    for fault in faults {
        let origin = healthy().await;
        origin.set_fault_on(Target::Playlists, fault);
        origins.push(origin);
    }
    check(&[
        ("huge", origins[0].url(), "body longer than 4194304 bytes"),
        (
            "line",
            origins[1].url(),
            "has 1048590 bytes, more than 65536",
        ),
        (
            "bomb",
            origins[2].url(),
            "gzip body unpacks to more than 4194304 bytes",
        ),
        ("loop", origins[3].url(), "more than 5 redirects"),
        ("html", origins[4].url(), "body is no playlist"),
        ("many", canned.url("/many"), "more than 50000 segments"),
        ("empty", canned.url("/empty"), "body is no playlist"),
        ("binary", canned.url("/binary"), "body is no playlist"),
        ("latin", canned.url("/latin"), "line 2"),
        ("nothing", canned.url("/nothing"), "no segment within"),
        (
            "self",
            canned.url("/self"),
            "multivariant playlist instead of a media playlist",
        ),
        ("missing", canned.url("/missing"), "status 404"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_are_none_are_named() {
    const MANY: usize = (64 << 20) + 188;
    let canned = Canned::start(|path| match path {
        "/big.m3u8" => list("#EXTINF:2,\nbig.ts\n"),
        "/big.ts" => Answer::ts([Clip::A.stream(0, 1), Bytes::from(vec![0xff; MANY])].concat()),
        "/empty.m3u8" => list("#EXTINF:2,\nempty.ts\n"),
        "/empty.ts" => Answer::ts(""),
        "/text.m3u8" => list("#EXTINF:2,\ntext.ts\n"),
        "/text.ts" => Answer::new("text/html", "<!doctype html><title>Sorry</title>"),
        "/key.m3u8" => list("#EXT-X-KEY:METHOD=AES-128,URI=\"no.key\"\n#EXTINF:2,\nempty.ts\n"),
        _ => Answer::not_found(),
    })
    .await;
    let faults = [
        Fault::Garbage,
        Fault::CutBody,
        Fault::Endless,
        Fault::SegmentsFail,
    ];
    let mut origins = Vec::new();
    for fault in faults {
        let origin = healthy().await;
        origin.set_fault(Some(fault));
        origins.push(origin);
    }
    check(&[
        ("garbage", origins[0].url(), "unknown media"),
        ("cut", origins[1].url(), "body cut short"),
        (
            "endless",
            origins[2].url(),
            "body longer than 67108864 bytes",
        ),
        ("fail", origins[3].url(), "status 404"),
        (
            "big",
            canned.url("/big.m3u8"),
            "body longer than 67108864 bytes",
        ),
        ("empty", canned.url("/empty.m3u8"), "empty body"),
        ("text", canned.url("/text.m3u8"), "html instead of media"),
        ("key", canned.url("/key.m3u8"), "no.key: status 404"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_take_their_time_are_named() {
    let slow = [
        (Fault::Trickle, Target::Playlists),
        (Fault::Trickle, Target::Segments),
        (Fault::Stall, Target::Playlists),
        (Fault::Stall, Target::Segments),
        (Fault::Dead, Target::All),
    ];
    let mut origins = Vec::new();
    for (fault, target) in slow {
        let origin = healthy().await;
        origin.set_fault_on(target, fault);
        origins.push(origin);
    }
    check(&[
        ("drops", origins[0].url(), "took longer than"),
        ("drips", origins[1].url(), "took longer than"),
        ("mute", origins[2].url(), "took longer than"),
        ("dumb", origins[3].url(), "took longer than"),
        ("dead", origins[4].url(), "connection"),
    ])
    .await;
}

/// What a client may not bring down, and how it is answered; `None`: not at all.
async fn check_raw(gateway: &Gateway, request: &[u8], expected: &[Option<u16>]) {
    let mut connection = Connection::open(gateway.port()).await;
    connection.send(request).await;
    let status = connection.status().await;
    let begin = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
    assert!(expected.contains(&status), "{begin:?}: {status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_cannot_bring_it_down() {
    let origin = healthy().await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 2).await;

    let huge = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    check_raw(&gateway, huge.as_bytes(), &[Some(431), None]).await;
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(5000)
    );
    check_raw(&gateway, many.as_bytes(), &[Some(431), None]).await;
    let long = format!(
        "GET /live/{} HTTP/1.1\r\nhost: a\r\n\r\n",
        "a/".repeat(100_000)
    );
    check_raw(
        &gateway,
        long.as_bytes(),
        &[Some(404), Some(414), Some(431), None],
    )
    .await;
    check_raw(&gateway, &[0x16, 3, 1, 0, 255, 0, 0, 0], &[Some(400), None]).await;
    check_raw(
        &gateway,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[Some(400), Some(505), None],
    )
    .await;
    check_raw(
        &gateway,
        b"GET / HTTP/1.1\r\n\xff\xfe: a\r\n\r\n",
        &[Some(400), None],
    )
    .await;
    let body = b"POST /change_stream/news HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999\r\n\r\n";
    check_raw(&gateway, body, &[Some(400), Some(401), Some(413), None]).await;

    odd_paths(&gateway).await;
    odd_ranges(&gateway).await;
    odd_bodies(&gateway).await;

    let so_far = player.report().segments.len();
    until_played(&player, so_far + 2).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&origin, &report);
    let memory = gateway.memory_mib();
    assert!(memory < MEMORY_MIB_MAX, "{memory} MiB");
}

/// A thousand paths of odd pieces, over one connection as long as it is kept.
async fn odd_paths(gateway: &Gateway) {
    const PIECES: [&str; 20] = [
        "..",
        "%2e%2e",
        "%00",
        "%ff%fe",
        "live",
        "news",
        "main",
        "index.m3u8",
        "0.ts",
        "18446744073709551616.ts",
        "-1.ts",
        "stream",
        "segments",
        "%2f",
        "",
        "a%0d%0aset-cookie:x=y",
        "init-0.mp4",
        "key-0.bin",
        "extra-0.bin",
        "api",
    ];
    let long = "x".repeat(5000);
    let mut random = 7_u64;
    let mut connection = Connection::open(gateway.port()).await;
    for _ in 0..1000 {
        let mut path = String::new();
        for _ in 0..4 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let piece = PIECES.get((random >> 33) as usize % 21);
            path += "/";
            path += piece.unwrap_or(&long.as_str());
        }
        let request = format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert!(connection.send(request.as_bytes()).await);
        let status = connection.status().await;
        let fine = matches!(status, Some(200 | 400 | 401 | 404 | 405));
        assert!(fine, "{path}: {status:?}");
        assert!(
            !String::from_utf8_lossy(connection.read())
                .to_lowercase()
                .contains("set-cookie"),
            "{path}"
        );
    }
}

async fn odd_ranges(gateway: &Gateway) {
    let playlist = gateway.playlist("/live/news/index.m3u8").await;
    let segment = playlist
        .lines()
        .rfind(|line| !line.starts_with('#'))
        .expect("a segment");
    let path = format!("/live/news/{segment}");
    let whole = gateway.get(&path).await.body;
    let ranges = [
        ("bytes=9999999999-", 416),
        ("bytes=-0", 416),
        ("bytes=5-2", 200),
        ("bytes=99999999999999999999-", 416),
        ("bytes=0-99999999999999999999999", 206),
        ("lines=1-2", 200),
        ("bytes", 200),
        ("bytes=a-b", 200),
        ("bytes=0-0,2-2", 200),
    ];
    for (range, status) in ranges {
        let answer = gateway
            .send(Method::GET, &path, &[("range", range)], "")
            .await;
        assert_eq!(answer.status, status, "{range}");
        if status == 200 {
            assert_eq!(answer.body, whole, "{range}");
        }
    }
    let thousands = format!("bytes={}", "0-1,".repeat(2000) + "0-1");
    let answer = gateway
        .send(Method::GET, &path, &[("range", &thousands)], "")
        .await;
    assert!(matches!(answer.status, 200 | 416) && answer.body.len() <= whole.len());
}

async fn odd_bodies(gateway: &Gateway) {
    // Refused before all of it is read; clients of the compatible route know one refusal only.
    let paths = [
        ("/api/v1/channels", 413),
        ("/api/v1/channels/news/switch", 413),
        ("/change_stream/news", 400),
    ];
    for (path, status) in paths {
        let megabytes = format!("{{\"url\":\"{}\"}}", "x".repeat(4 << 20));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n"
        );
        let request = format!(
            "{head}content-length: {}\r\n\r\n{megabytes}",
            megabytes.len()
        );
        check_raw(gateway, request.as_bytes(), &[Some(status)]).await;
    }
    let deep = "[".repeat(100_000);
    for path in ["/api/v1/channels", "/api/v1/channels/news/switch"] {
        for body in ["", "{", &deep, "\u{0}", "null", "{\"url\":{}}"] {
            let answer = gateway.admin(Method::POST, path, body).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(
                matches!(answer.status, 400 | 422),
                "{path} {}: {text}",
                answer.status
            );
            assert_eq!(
                header(&answer, "content-type"),
                "application/problem+json",
                "{text}"
            );
        }
    }
    for body in [
        deep.as_str(),
        "{\"url\":\"http://[::1\"}",
        "{\"url\":\"http://\"}",
    ] {
        let answer = gateway
            .admin(Method::POST, "/change_stream/news", body)
            .await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
    gateway
        .until(SOON, "news", "the picture", |info| info["state"] == "live")
        .await;
}
