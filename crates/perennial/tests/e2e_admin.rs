//! The administrator's side: channels, switches, events, metrics, and the key that they want.

mod e2e;

use e2e::{Connection, Gateway, KEY, SOON, channel, header};
use http::Method;
use serde_json::{Value, json};
use testkit::http::Fetched;
use testkit::{Origin, Spec};

const INDEX: &str = "/live/news/index.m3u8";

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
        (Method::GET, "/api/v1/resolvers"),
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
    assert_eq!(info["source"]["index"], 1, "{info:#}");
    assert!(info["generation"].as_u64() >= Some(2), "{info:#}");
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

/// Media sequence numbers of a playlist, first and last.
fn numbers(playlist: &str) -> (u64, u64) {
    let first = playlist
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    let first = first.and_then(|first| first.parse().ok()).unwrap_or(0);
    (first, first + playlist.matches("#EXTINF").count() as u64)
}

/// Caches keep segments for a year under their numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_made_again_does_not_use_its_numbers_again() {
    let gateway = Gateway::serve("").await;
    let mut last = 0;
    for _ in 0..2 {
        let origin = Origin::start(Spec::default()).await.unwrap();
        let input = json!({ "id": "mine", "sources": [{ "url": origin.url() }] }).to_string();
        let added = gateway.admin(Method::POST, "/api/v1/channels", &input);
        assert_eq!(added.await.status, 201);
        let answer = gateway.get("/live/mine/index.m3u8").await;
        let (first, next) = numbers(&String::from_utf8_lossy(&answer.body));
        assert!(first >= last && next > first, "{first} after {last}");
        last = next;
        let removed = gateway.admin(Method::DELETE, "/api/v1/channels/mine", "");
        assert_eq!(removed.await.status, 204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_the_file_hid_is_back_when_the_file_lets_go() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let gateway = Gateway::serve("").await;
    let input = json!({ "id": "mine", "title": "T", "sources": [{ "url": origin.url() }] });
    let input = input.to_string();
    let added = gateway.admin(Method::POST, "/api/v1/channels", &input);
    assert_eq!(added.await.status, 201);
    for (file, title) in [
        (channel("mine", &[&origin.url()]), ""),
        (String::new(), "T"),
    ] {
        gateway.configure(&file);
        let reloaded = gateway.admin(Method::POST, "/api/v1/reload", "").await;
        assert_eq!(reloaded.status, 200);
        assert_eq!(gateway.channel("mine").await["title"], title);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_fails_leaves_the_name_of_what_is_on_air() {
    let [first, second] = [
        Origin::start(Spec::default()).await.unwrap(),
        Origin::start(Spec::default()).await.unwrap(),
    ];
    let gateway = Gateway::serve(&channel("news", &[&first.url()])).await;
    gateway.playlist(INDEX).await;
    let change = async |url: &str| {
        let body = json!({ "url": url }).to_string();
        gateway
            .admin(Method::POST, "/change_stream/news", &body)
            .await
    };
    assert_eq!(change(second.url().as_str()).await.status, 200);
    let name = |info: &Value| info["source"]["name"].as_str().map(str::to_owned);
    let second = Some(base::redact_url(&second.url()));
    gateway
        .until(SOON, "news", "the second is on air", |info| {
            name(info) == second
        })
        .await;
    let bad = first.url().join("/nothing.m3u8").unwrap();
    for _ in 0..2 {
        let answer = change(bad.as_str()).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("Stream URL updated"), "{text}");
    }
    gateway
        .until(SOON, "news", "trouble with the third", |info| {
            let errors = info["errors"].as_array();
            errors.is_some_and(|errors| errors.iter().any(|error| error["source"] == 2))
        })
        .await;
    assert_eq!(name(&gateway.channel("news").await), second);
}
