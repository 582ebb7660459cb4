//! The HTTP face, route by route: what caches, browsers, players and administrators are told.

mod e2e;

use std::io::Read;
use std::time::Duration;

use e2e::{Connection, Gateway, KEY, SOON, channel, header};
use http::Method;
use serde_json::{Value, json};
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

fn check_problem(answer: &Fetched, status: u16, code: &str) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        header(answer, "content-type"),
        "application/problem+json",
        "{text}"
    );
    let problem: Value = serde_json::from_str(&text).expect("a problem is JSON");
    assert_eq!(problem["code"], code, "{text}");
    for word in ["detail", "request_id"] {
        assert!(
            problem[word].as_str().is_some_and(|word| !word.is_empty()),
            "{word}: {text}"
        );
    }
    if status == 401 {
        assert_eq!(header(answer, "www-authenticate"), "Bearer");
        assert!(
            problem["hint"]
                .as_str()
                .is_some_and(|hint| hint.contains("X-Api-Key")),
            "{text}"
        );
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_added_changed_and_removed() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let mut gateway = Gateway::serve(&channel("file", &[&origin.url()])).await;
    let input = |id: &str| {
        json!({ "id": id, "title": "T", "sources": [{ "url": origin.url() }] }).to_string()
    };

    let answer = gateway
        .admin(Method::POST, "/api/v1/channels", &input("mine"))
        .await;
    assert_eq!(answer.status, 201);
    let info: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&info["id"], &info["origin"], &info["state"]),
        (&json!("mine"), &json!("api"), &json!("idle"))
    );
    let again = gateway
        .admin(Method::POST, "/api/v1/channels", &input("mine"))
        .await;
    check_problem(&again, 409, "exists");
    let of_file = gateway
        .admin(Method::PUT, "/api/v1/channels/file", &input("file"))
        .await;
    check_problem(&of_file, 409, "read_only");
    check_problem(
        &gateway
            .admin(Method::DELETE, "/api/v1/channels/file", "")
            .await,
        409,
        "read_only",
    );
    for id in ["hls", "g", "", "Upper", "a/b", "..", &"x".repeat(65)] {
        let answer = gateway
            .admin(Method::POST, "/api/v1/channels", &input(id))
            .await;
        check_problem(&answer, 400, "invalid");
    }
    for bad in [
        json!({ "id": "x", "sources": [] }),
        json!({ "id": "x", "sources": [{ "url": "ftp://a/b" }] }),
        json!({ "sources": [{ "url": "http://a/b" }] }),
        json!({ "id": "x", "sources": [{ "url": "http://a/b", "headers": { "a\nb": "c" } }] }),
    ] {
        let answer = gateway
            .admin(Method::POST, "/api/v1/channels", &bad.to_string())
            .await;
        check_problem(&answer, 400, "invalid");
    }
    let unknown_key = json!({ "id": "x", "souces": [] }).to_string();
    let answer = gateway
        .admin(Method::POST, "/api/v1/channels", &unknown_key)
        .await;
    assert!(matches!(answer.status, 400 | 422), "{}", answer.status);

    gateway.playlist("/live/mine/index.m3u8").await;
    assert!(gateway.start_again().await);
    assert_eq!(gateway.channel("mine").await["title"], "T");
    let renamed = input("mine").replace("\"T\"", "\"U\"");
    assert_eq!(
        gateway
            .admin(Method::PUT, "/api/v1/channels/mine", &renamed)
            .await
            .status,
        200
    );
    let other = gateway
        .admin(Method::PUT, "/api/v1/channels/mine", &input("other"))
        .await;
    check_problem(&other, 400, "invalid");
    let list = gateway.json("/api/v1/channels").await;
    let titles: Vec<_> = list["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|info| &info["title"])
        .collect();
    assert_eq!(titles, ["", "U"]);
    assert_eq!(
        gateway
            .admin(Method::DELETE, "/api/v1/channels/mine", "")
            .await
            .status,
        204
    );
    check_problem(
        &gateway
            .admin(Method::GET, "/api/v1/channels/mine", "")
            .await,
        404,
        "unknown_channel",
    );
    check_problem(
        &gateway
            .admin(Method::DELETE, "/api/v1/channels/mine", "")
            .await,
        404,
        "unknown_channel",
    );
    assert_eq!(gateway.get("/live/mine/index.m3u8").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_administers_wants_a_key() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let routes = [
        (Method::GET, "/api/v1/channels"),
        (Method::POST, "/api/v1/channels"),
        (Method::GET, "/api/v1/channels/news"),
        (Method::PUT, "/api/v1/channels/news"),
        (Method::DELETE, "/api/v1/channels/news"),
        (Method::POST, "/api/v1/channels/news/switch"),
        (Method::POST, "/api/v1/channels/news/stop"),
        (Method::GET, "/api/v1/viewers"),
        (Method::DELETE, "/api/v1/viewers/x"),
        (Method::POST, "/api/v1/reload"),
        (Method::GET, "/api/v1/events"),
    ];
    let wrong = format!("{KEY}x");
    let bearer = format!("Bearer {wrong}");
    for (method, path) in routes {
        for header in [
            ("accept", "*/*"),
            ("x-api-key", ""),
            ("x-api-key", &wrong),
            ("authorization", &bearer),
        ] {
            let answer = gateway.send(method.clone(), path, &[header], "{}").await;
            check_problem(&answer, 401, "unauthorized");
        }
    }
    let stopped = gateway
        .admin(Method::POST, "/api/v1/channels/news/stop", "")
        .await;
    assert_eq!(stopped.status, 204);
    let switched = gateway
        .admin(
            Method::POST,
            "/api/v1/channels/news/switch",
            "{\"source\":0}",
        )
        .await;
    assert_eq!(switched.status, 202);
    for (body, id, status, code) in [
        ("{\"source\":7}", "news", 400, "invalid"),
        ("{}", "news", 400, "invalid"),
        (
            "{\"source\":0,\"url\":\"http://a/b\"}",
            "news",
            400,
            "invalid",
        ),
        ("{\"url\":\"file:///a\"}", "news", 400, "invalid"),
        ("{\"source\":0}", "nobody", 404, "unknown_channel"),
    ] {
        let answer = gateway
            .admin(Method::POST, &format!("/api/v1/channels/{id}/switch"), body)
            .await;
        check_problem(&answer, status, code);
    }
    check_problem(&gateway.get("/nothing").await, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_is_told_as_it_happens() {
    let (a, b) = (
        Origin::start(Spec::default()).await.unwrap(),
        Origin::start(Spec::default()).await.unwrap(),
    );
    let gateway = Gateway::serve(&channel("news", &[&a.url(), &b.url()])).await;
    let mut events = Connection::open(gateway.port()).await;
    let ask = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n"
    );
    assert!(events.send(ask.as_bytes()).await);
    let head = events
        .read_until(SOON, "\r\n\r\n")
        .await
        .expect("an answer");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"),
        "{head}"
    );
    gateway.playlist(INDEX).await;
    events
        .read_until(SOON, "event: on_air")
        .await
        .expect("the first source on air");
    let answer = gateway
        .admin(
            Method::POST,
            "/api/v1/channels/news/switch",
            "{\"source\":1}",
        )
        .await;
    assert_eq!(answer.status, 202);
    let told = events
        .read_until(SOON, "\"source\":1")
        .await
        .expect("the second source on air");
    let told = told
        + &events
            .read_until(SOON, "\n\n")
            .await
            .expect("the event's end");
    let data = told.lines().filter_map(|line| line.strip_prefix("data: "));
    let told: Vec<Value> = data
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    let on_air = |source: u64| {
        told.iter().any(|event| {
            event["code"] == "on_air"
                && event["source"] == source
                && event["channel"] == "news"
                && event["at_ms"].is_number()
        })
    };
    assert!(on_air(0) && on_air(1), "{told:#?}");
    assert!(
        told.iter()
            .any(|event| event["code"] == "state" && event["text"] == "switching"),
        "{told:#?}"
    );
    let info = gateway.channel("news").await;
    assert_eq!(
        (&info["source"]["index"], &info["generation"]),
        (&json!(1), &json!(2)),
        "{info:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_how_it_does() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    drop(gateway.player(INDEX).await);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    let answer = gateway.get("/metrics").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{name} in {text}"))
    };
    assert!(value("perennial_channel_bytes_in_total{channel=\"news\"}") > 100_000.0);
    assert!(value("perennial_channel_upstream_requests_total{channel=\"news\"}") >= 4.0);
    assert!(value("perennial_channel_viewers{channel=\"news\"}") >= 1.0);
    assert_eq!(value("perennial_channel_live{channel=\"news\"}"), 1.0);
    assert!(value("perennial_http_responses_total{class=\"2xx\"}") > 1.0);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok());
        assert!(line.starts_with("perennial_") && value.is_some(), "{line}");
    }

    let info = gateway.channel("news").await;
    assert_eq!(
        (&info["state"], &info["sources"][0]["health"]),
        (&json!("live"), &json!("healthy"))
    );
    assert!(
        info["bytes_in"].as_u64() > Some(100_000) && info["window"]["segments"].as_u64() >= Some(3),
        "{info:#}"
    );
    assert_eq!(info["errors"], json!([]));

    let openapi = gateway.json("/api/openapi.json").await;
    let committed: Value =
        serde_json::from_str(include_str!("../../../docs/ref/openapi.json")).unwrap();
    assert_eq!(openapi, committed);
    let page = gateway.get("/").await;
    assert!(header(&page, "content-type").starts_with("text/html"));
    assert!(header(&page, "content-security-policy").contains("default-src 'none'"));
}
