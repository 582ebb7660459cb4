//! What players, browsers and caches are told with each playlist and segment.

mod e2e;

use std::io::Read;
use std::time::Duration;

use e2e::{Gateway, SOON, channel, header};
use http::Method;
use testkit::http::Fetched;
use testkit::{Origin, Spec, wait_until};

const INDEX: &str = "/live/news/index.m3u8";

/// Segments of ten seconds: the playlist stays as it is while a test looks at it.
async fn slow_origin() -> Origin {
    let spec = Spec {
        segment: Duration::from_secs(10),
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

/// A gateway with the channel `news`, whose playlist will not change for a while.
async fn steady(origin: &Origin) -> (Gateway, String) {
    let config = channel("news", &[&origin.url()])
        + "title = \"Late, \\\"News\\\"\"\ngroup = \"Local\"\nlogo = \"https://a.example/l.png\"\ntvg_id = \"news.example\"\n";
    // Keys of the channel stand before its sources.
    let (head, sources) = config.split_once("[[channel.source]]").expect("a source");
    let (url, keys) = sources.split_once("title").expect("a title");
    let config = format!("{head}title{keys}[[channel.source]]{url}");
    let gateway = Gateway::serve(&config).await;
    drop(gateway.player(INDEX).await);
    let head = origin.head();
    let made = wait_until(SOON, "a segment", async || {
        (origin.head() > head).then_some(())
    });
    made.await.expect("origins go on");
    let end = gateway.playlist(INDEX).await.lines().count();
    let grown = wait_until(SOON, "a longer playlist", async || {
        let text = gateway.playlist(INDEX).await;
        (text.lines().count() > end).then_some(text)
    });
    let text = grown.await.expect("the channel goes on");
    (gateway, text)
}

/// Seconds of `max-age`.
fn max_age(answer: &Fetched) -> u64 {
    let value = header(answer, "cache-control");
    let age = value
        .split("max-age=")
        .nth(1)
        .and_then(|age| age.split(',').next());
    age.and_then(|age| age.trim().parse().ok())
        .unwrap_or_else(|| panic!("no max-age in {value:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_have_an_entity_tag_for_each_encoding() {
    let origin = slow_origin().await;
    let (gateway, text) = steady(&origin).await;
    let get = async |headers: &[(&str, &str)]| gateway.send(Method::GET, INDEX, headers, "").await;
    let plain = get(&[]).await;
    let zipped = get(&[("accept-encoding", "br, gzip")]).await;
    for answer in [&plain, &zipped] {
        assert_eq!(answer.status, 200);
        assert_eq!(
            header(answer, "content-type"),
            "application/vnd.apple.mpegurl"
        );
        assert_eq!(header(answer, "vary").to_lowercase(), "accept-encoding");
        assert!(
            max_age(answer) <= 5,
            "half the target duration of ten seconds"
        );
        assert_eq!(
            header(answer, "content-length"),
            answer.body.len().to_string()
        );
    }
    assert_eq!(header(&plain, "content-encoding"), "");
    assert_eq!(plain.body, text);
    assert_eq!(header(&zipped, "content-encoding"), "gzip");
    let mut unzipped = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..])
        .read_to_string(&mut unzipped)
        .unwrap();
    assert_eq!(unzipped, text);

    let tags = (header(&plain, "etag"), header(&zipped, "etag"));
    assert!(
        tags.0.starts_with('"') && tags.1.starts_with('"') && tags.0 != tags.1,
        "{tags:?}"
    );
    for (encoding, tag, status) in [
        ("identity", tags.0, 304),
        ("gzip", tags.1, 304),
        ("identity", tags.1, 200),
        ("gzip", tags.0, 200),
        ("identity", "\"other\"", 200),
        ("identity", "*", 304),
    ] {
        let answer = get(&[("accept-encoding", encoding), ("if-none-match", tag)]).await;
        assert_eq!(answer.status, status, "{encoding} {tag}");
        if status == 304 {
            assert!(answer.body.is_empty());
            let own = if encoding == "gzip" { tags.1 } else { tags.0 };
            assert_eq!(header(&answer, "etag"), own);
            assert_eq!(header(&answer, "vary").to_lowercase(), "accept-encoding");
        }
    }
    let head = gateway.send(Method::HEAD, INDEX, &[], "").await;
    assert_eq!(
        (head.status, head.body.len(), header(&head, "etag")),
        (200, 0, tags.0)
    );
    assert_eq!(header(&head, "content-length"), text.len().to_string());
    assert_eq!(gateway.send(Method::PUT, INDEX, &[], "").await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_immutable_and_served_in_ranges() {
    let origin = slow_origin().await;
    let (gateway, text) = steady(&origin).await;
    let segment = text
        .lines()
        .rfind(|line| !line.starts_with('#'))
        .expect("a segment");
    let path = format!("/live/news/{segment}");
    let whole = gateway.get(&path).await;
    let length = whole.body.len();
    assert_eq!(
        (whole.status, header(&whole, "content-type")),
        (200, "video/MP2T")
    );
    let kept = header(&whole, "cache-control");
    assert!(
        kept.contains("immutable") && max_age(&whole) >= 3600,
        "{kept}"
    );
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-length"), length.to_string());

    let ranges = [
        ("bytes=0-187".to_owned(), 0, 188),
        (format!("bytes={}-", length - 188), length - 188, length),
        ("bytes=-376".to_owned(), length - 376, length),
        (format!("bytes=188-{}", 10 * length), 188, length),
    ];
    for (range, from, to) in ranges {
        let answer = gateway
            .send(Method::GET, &path, &[("range", &range)], "")
            .await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (206, &whole.body[from..to]),
            "{range}"
        );
        let expected = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(header(&answer, "content-range"), expected);
        assert_eq!(header(&answer, "cache-control"), kept);
    }
    let beyond = format!("bytes={length}-");
    let answer = gateway
        .send(Method::GET, &path, &[("range", &beyond)], "")
        .await;
    assert_eq!(answer.status, 416);
    assert_eq!(
        header(&answer, "content-range"),
        format!("bytes */{length}")
    );
    let head = gateway.send(Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(header(&head, "content-length"), length.to_string());

    for gone in [
        "main/999999.ts",
        "main/0.m4s",
        "main/x.ts",
        "none/0.ts",
        "main/key-0.bin",
        "extra-9.bin",
        "main/",
    ] {
        let answer = gateway.get(&format!("/live/news/{gone}")).await;
        assert_eq!(answer.status, 404, "{gone}");
        let kept = header(&answer, "cache-control");
        assert!(
            kept.contains("no-store") || max_age(&answer) <= 5,
            "{gone}: {kept}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_may_watch_and_nobody_gets_a_cookie() {
    let origin = slow_origin().await;
    let (gateway, text) = steady(&origin).await;
    let segment = text
        .lines()
        .rfind(|line| !line.starts_with('#'))
        .expect("a segment");
    let page = ("origin", "https://page.example");
    let segment = format!("/live/news/{segment}");
    let paths = [
        INDEX,
        &segment,
        "/stream/news",
        "/channels.m3u",
        "/live/nobody/index.m3u8",
        "/live/news/main/9.ts",
    ];
    for path in paths {
        let answer = gateway.send(Method::GET, path, &[page], "").await;
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            "*",
            "{path}"
        );
        let exposed = header(&answer, "access-control-expose-headers").to_lowercase();
        for name in ["content-length", "content-range", "etag", "retry-after"] {
            assert!(exposed.contains(name), "{path}: {name} in {exposed:?}");
        }
        let ask = [
            page,
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "range"),
        ];
        let answer = gateway.send(Method::OPTIONS, path, &ask, "").await;
        assert!(
            matches!(answer.status, 200 | 204),
            "{path}: {}",
            answer.status
        );
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            "*",
            "{path}"
        );
        assert!(
            header(&answer, "access-control-allow-methods").contains("GET"),
            "{path}"
        );
        let allowed = header(&answer, "access-control-allow-headers").to_lowercase();
        assert!(
            allowed == "*" || allowed.contains("range"),
            "{path}: {allowed}"
        );
    }
    // What administers is for no other page.
    for path in ["/api/v1/channels", "/api/v1/events", "/metrics"] {
        let answer = gateway.send(Method::OPTIONS, path, &[page], "").await;
        assert_eq!(header(&answer, "access-control-allow-origin"), "", "{path}");
    }
    let everywhere = [
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/openapi.json",
        "/api/v1/channels",
        "/nothing",
    ];
    for path in paths.into_iter().chain(everywhere) {
        assert_eq!(header(&gateway.get(path).await, "set-cookie"), "", "{path}");
        assert_eq!(
            header(&gateway.admin(Method::GET, path, "").await, "set-cookie"),
            "",
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_channels_names_them_as_the_player_reaches_us() {
    let origin = slow_origin().await;
    let (gateway, _) = steady(&origin).await;
    let forwarded = [
        ("x-forwarded-host", "tv.example"),
        ("x-forwarded-proto", "https"),
    ];
    let list = async |gateway: &Gateway, headers: &[(&str, &str)]| {
        let answer = gateway
            .send(Method::GET, "/channels.m3u", headers, "")
            .await;
        assert_eq!(answer.status, 200);
        assert!(
            header(&answer, "content-type").starts_with("audio/x-mpegurl"),
            "{answer:?}"
        );
        String::from_utf8(answer.body.to_vec()).expect("UTF-8")
    };
    let expected = |base: &str| {
        format!(
            "#EXTM3U\n#EXTINF:-1 tvg-id=\"news.example\" tvg-name=\"Late, 'News'\" \
             tvg-logo=\"https://a.example/l.png\" group-title=\"Local\",Late  'News'\n{base}{INDEX}\n"
        )
    };
    let own = format!("http://127.0.0.1:{}", gateway.port());
    assert_eq!(list(&gateway, &[]).await, expected(&own));
    assert_eq!(
        list(&gateway, &[("host", "nas.local:8080")]).await,
        expected("http://nas.local:8080")
    );
    // From anybody, these headers are words.
    assert_eq!(list(&gateway, &forwarded).await, expected(&own));

    let channels = channel("news", &[&origin.url()]);
    let behind = format!("server.trusted_proxies = [\"127.0.0.0/8\"]\n{channels}");
    let gateway = Gateway::serve(&behind).await;
    assert!(
        list(&gateway, &forwarded)
            .await
            .contains(&format!("\nhttps://tv.example{INDEX}\n"))
    );
    let public = format!("server.public_url = \"https://public.example/tv\"\n{channels}");
    let gateway = Gateway::serve(&public).await;
    assert!(
        list(&gateway, &forwarded)
            .await
            .contains(&format!("\nhttps://public.example/tv{INDEX}\n"))
    );
}
