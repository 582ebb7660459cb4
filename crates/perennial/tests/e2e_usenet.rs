//! Posts through the program itself, with testkit's NNTP server as the provider: submitted, played, and
//! each way in which they do not play.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod e2e;
mod posts;

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::{Answer, Canned, Connection, KEY, SOON, header};
use futures_util::future::join_all;
use http::Method;
use posts::{Stage, digest, film, form, hex, json_of, multipart};
use serde_json::{Value, json};
use testkit::nntp::{Fault, Post, Posting, Proxy, Server, rar5};
use testkit::wait_until;

impl Stage {
    /// Waits for the connections that are held ready.
    async fn is_warm(&self) {
        let warm = wait_until(SOON, "warm connections", async || {
            let providers = self.gateway.json("/api/v1/providers").await;
            let provider = &providers["providers"][0];
            let ready = provider["connections"].as_u64()? >= 2
                && provider["opening"] == 0
                && provider["in_flight"] == 0
                && provider["queued"] == 0;
            ready.then_some(())
        });
        warm.await.unwrap();
    }

    async fn submit_owned(&self, post: &Post, name: String) -> Value {
        self.submit(post, &name, &[]).await
    }

    /// What the route says to a form without a file.
    async fn refused_form(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let headers = [
            ("x-api-key", KEY),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let sent = self
            .gateway
            .send(Method::POST, "/api/nzb/streams", &headers, form(fields));
        let answer = sent.await;
        (answer.status, json_of(&answer)["error"].clone())
    }
}

#[tokio::test]
async fn a_post_plays_at_once_and_is_known_under_any_name() {
    let film = film(3_000_000, 1);
    let post = Post::new("film", &[("The.Film.2024.1080p.mkv", &film)], 100_000);
    let stage = Stage::new(&[&post]).await;

    let answer = stage.submit(&post, "The.Film.2024.nzb", &[]).await;
    assert_eq!(answer["_cached"], false, "{answer:#}");
    let stream = &answer["streams"][0];
    assert_eq!(stream["name"], "Perennial");
    assert_eq!(stream["title"], "The.Film.2024.1080p.mkv");
    assert_eq!(stream["size"], 3_000_000);
    assert_eq!(
        stream["behaviorHints"],
        json!({ "filename": "The.Film.2024.1080p.mkv", "videoSize": 3_000_000,
            "bingeGroup": "perennial|1080p", "notWebReady": true })
    );
    let id = answer["_queue_item_id"].as_i64().unwrap();
    let path = stage.path_of(stream);
    stage.plays(&path, &film, 1000).await;

    // Its name says nothing, its articles do.
    let again = stage.submit(&post, "download.nzb", &[]).await;
    assert_eq!(
        (&again["_cached"], again["_queue_item_id"].as_i64()),
        (&json!(true), Some(id))
    );
    let other = Post::new("other", &[("Another.Film.mkv", &film[..500_000])], 100_000);
    stage.server.add(&other);
    let other = stage.submit(&other, "download.nzb", &[]).await;
    assert_eq!(other["_cached"], false);
    assert_eq!(other["streams"][0]["title"], "Another.Film.mkv");

    let mounts = stage.gateway.json("/api/v1/mounts").await;
    let mount = &mounts["mounts"][0];
    assert_eq!(
        (&mount["id"], &mount["name"]),
        (&json!(id), &json!("The.Film.2024"))
    );
    assert_eq!(mount["category"], "stremio");
    let url = mount["files"][0]["url"].as_str().unwrap().to_owned();
    stage.plays(&stage.local(&url), &film, 1).await;
    let providers = stage.gateway.json("/api/v1/providers").await;
    assert!(providers["providers"][0]["articles"].as_u64().unwrap() >= 30);
    assert!(providers["bytes_out"].as_u64().unwrap() >= 6_000_000);
    let metrics = stage.gateway.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "perennial_mounts{state=\"completed\"} ",
        "perennial_provider_articles_total{provider=",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_grant_opens_its_file_alone_and_a_download_key_every_file() {
    let (a, b) = (film(300_000, 1), film(300_000, 2));
    let post = Post::new("pair", &[("a.mkv", &a), ("b.mkv", &b)], 100_000);
    let stage = Stage::new(&[&post]).await;
    let answer = stage.submit(&post, "pair.nzb", &[]).await;
    let paths: Vec<_> = answer["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| stage.path_of(s))
        .collect();
    let grant = |path: &str| path.split("grant=").nth(1).unwrap().to_owned();
    let bare = |path: &str| path.split("&grant").next().unwrap().to_owned();
    stage.is(&paths[0], 200).await;
    stage
        .is(
            &format!("{}&grant={}", bare(&paths[0]), grant(&paths[1])),
            403,
        )
        .await;
    stage.is(&bare(&paths[0]), 401).await;
    stage
        .is(&format!("{}&grant=nonsense", bare(&paths[0])), 401)
        .await;
    let download_key = hex(&digest(KEY.as_bytes()));
    let keyed = format!("{}&download_key={download_key}", bare(&paths[1]));
    stage.is(&keyed, 200).await;
    stage
        .is(&format!("{}&download_key={KEY}", bare(&paths[1])), 401)
        .await;
    let named = format!("/api/files/stream?path=stremio/pair/a.mkv&download_key={download_key}");
    assert_eq!(stage.is(&named, 200).await.body, a);
    let nothing = format!("/api/files/stream?path=stremio/pair/c.mkv&download_key={download_key}");
    stage.is(&nothing, 404).await;

    // A credential of its own: never for administration.
    for name in ["x-api-key", "authorization"] {
        let value = if name == "x-api-key" {
            download_key.clone()
        } else {
            format!("Bearer {download_key}")
        };
        let headers = [(name, value.as_str())];
        let answer = stage
            .gateway
            .send(Method::GET, "/api/v1/mounts", &headers, "");
        assert_eq!(answer.await.status, 401, "{name}");
    }

    let id = answer["_queue_item_id"].to_string();
    let path = format!("/api/v1/mounts/{id}");
    assert_eq!(
        stage.gateway.admin(Method::DELETE, &path, "").await.status,
        204
    );
    stage.is(&paths[0], 404).await;
    assert_eq!(
        stage.gateway.admin(Method::GET, &path, "").await.status,
        404
    );
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_the_standard() {
    let film = film(700_000, 3);
    let post = Post::new("ranges", &[("film.mkv", &film)], 100_000);
    let stage = Stage::new(&[&post]).await;
    let answer = stage.submit(&post, "ranges.nzb", &[]).await;
    let path = stage.path_of(&answer["streams"][0]);
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        stage.gateway.send(method, &path, headers, "").await
    };
    let whole = ask(Method::GET, &[]).await;
    let etag = header(&whole, "etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-type"), "video/x-matroska");
    let head = ask(Method::HEAD, &[("range", "bytes=0-9")]).await;
    assert_eq!(
        (
            head.status,
            header(&head, "content-length"),
            head.body.len()
        ),
        (200, "700000", 0)
    );

    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=650000-", 650_000, 700_000),
        ("bytes=-5", 699_995, 700_000),
        ("bytes=-9999999", 0, 700_000),
        ("bytes=99999-100001", 99_999, 100_002),
    ] {
        let part = ask(Method::GET, &[("range", range), ("if-range", &etag)]).await;
        assert_eq!(part.status, 206, "{range}");
        let said = format!("bytes {from}-{}/700000", to - 1);
        assert_eq!(header(&part, "content-range"), said);
        assert_eq!(part.body, &film[from..to], "{range}");
    }
    let unsatisfiable = ask(Method::GET, &[("range", "bytes=700000-")]).await;
    assert_eq!(
        (
            unsatisfiable.status,
            header(&unsatisfiable, "content-range")
        ),
        (416, "bytes */700000")
    );
    let stale = [("range", "bytes=0-9"), ("if-range", "\"older\"")];
    assert_eq!(ask(Method::GET, &stale).await.status, 200);
    assert_eq!(
        ask(Method::GET, &[("if-none-match", &etag)]).await.status,
        304
    );

    let several = ask(Method::GET, &[("range", "bytes=0-9,300000-300099,-1")]).await;
    assert_eq!(several.status, 206);
    let kind = header(&several, "content-type").to_owned();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert_eq!(
        header(&several, "content-length"),
        several.body.len().to_string()
    );
    let mut expected = Vec::new();
    for (from, to) in [(0, 10), (300_000, 300_100), (699_999, 700_000)] {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: video/x-matroska\r\nContent-Range: bytes {from}-{}/700000\r\n\r\n",
            to - 1
        );
        expected.extend(head.as_bytes());
        expected.extend(&film[from..to]);
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(several.body, expected);
}

#[tokio::test]
async fn ten_submissions_at_once_are_one_import() {
    let film = film(500_000, 4);
    let post = Post::new("ten", &[("film.mkv", &film)], 100_000);
    let stage = Stage::new(&[&post]).await;
    let answers = join_all((0..10).map(|n| stage.submit_owned(&post, format!("{n}.nzb")))).await;
    let ids: Vec<_> = answers.iter().map(|a| &a["_queue_item_id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let mounts = stage.gateway.json("/api/v1/mounts").await;
    assert_eq!(mounts["mounts"].as_array().unwrap().len(), 1);
    let bodies = stage.server.asked().bodies;
    assert!(bodies.values().all(|count| *count == 1), "{bodies:?}");
}

#[tokio::test]
async fn an_episode_is_picked_and_without_one_all_are_offered() {
    let [one, two, three] = [5, 6, 7].map(|seed| film(200_000 + seed as usize * 1000, seed));
    let post = Post::new(
        "season",
        &[
            ("Show.S01E01.mkv", &one),
            ("Show.S01E02.mkv", &two),
            ("Show.S01E03.mkv", &three),
            (
                "Show.S01E02.en.srt",
                b"1\n00:00:01,000 --> 00:00:02,000\nHi\n",
            ),
            ("sample.mkv", &one[..20_000]),
        ],
        100_000,
    );
    let stage = Stage::new(&[&post]).await;
    let titles = |answer: &Value| -> Vec<String> {
        let streams = answer["streams"].as_array().unwrap().iter();
        streams
            .map(|stream| stream["title"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = stage.submit(&post, "season.nzb", &[]).await;
    assert_eq!(
        titles(&all),
        ["Show.S01E03.mkv", "Show.S01E02.mkv", "Show.S01E01.mkv"]
    );
    for selector in [
        &[("season", "1"), ("episode", "2")][..],
        &[("id", "tt0903747:1:2")],
        &[("stremio_id", "tt0903747:1:2")],
    ] {
        let picked = stage.submit(&post, "season.nzb", selector).await;
        assert_eq!(titles(&picked), ["Show.S01E02.mkv"], "{selector:?}");
        let subtitle = &picked["streams"][0]["subtitles"][0];
        assert_eq!(subtitle["lang"], "en", "{picked:#}");
        let text = stage.is(&stage.path_of(subtitle), 200).await;
        assert!(text.body.starts_with(b"1\n00:00:01"));
    }
    let (status, error) = stage.refused(&post, &[("id", "tt0903747:1:9")]).await;
    assert_eq!((status, error["code"].as_str()), (422, Some("no_media")));
}

#[tokio::test]
async fn each_failure_has_its_code_and_none_is_404() {
    let film = film(1_000_000, 8);
    let gone = Post::new("gone", &[("film.mkv", &film)], 50_000);
    let damaged = Post::new("damaged", &[("film.mkv", &film)], 50_000);
    let notes = Post::new("notes", &[("readme.txt", b"nothing to see")], 50_000);
    let slow = Post::new("slow", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&damaged, &notes, &slow]).await;
    for id in damaged.ids(0).iter().step_by(2) {
        stage.server.set_fault(id, Some(Fault::Missing));
    }
    for id in slow.ids(0) {
        stage.server.set_fault(id, Some(Fault::Stall));
    }
    for (post, status, code) in [
        (&gone, 422, "dead_post"),
        (&damaged, 422, "incomplete"),
        (&notes, 422, "no_media"),
    ] {
        let (got, error) = stage.refused(post, &[]).await;
        assert_eq!(
            (got, error["code"].as_str()),
            (status, Some(code)),
            "{error}"
        );
        assert!(error["details"]["queue_item_id"].is_number(), "{error}");
    }
    let (status, error) = stage.refused(&slow, &[("timeout", "1")]).await;
    assert_eq!((status, &error["code"]), (408, &json!("timeout")));
    let id = &error["details"]["queue_item_id"];
    // The import goes on.
    let mount = stage.gateway.json(&format!("/api/v1/mounts/{id}")).await;
    assert_eq!(mount["state"], "probing");

    for body in [
        "",
        "no xml",
        "<nzb></nzb>",
        "<html><body>Sign in</body></html>",
    ] {
        let (kind, body) = multipart(&[], Some(("x.nzb", body.as_bytes())));
        let headers = [("x-api-key", KEY), ("content-type", &*kind)];
        let answer = stage
            .gateway
            .send(Method::POST, "/api/nzb/streams", &headers, body);
        let answer = answer.await;
        let error = json_of(&answer);
        assert_eq!(
            (answer.status, &error["error"]["code"]),
            (400, &json!("bad_nzb")),
            "{error}"
        );
        assert_eq!(error["success"], false);
    }
    let (status, error) = stage.refused_form(&[("timeout", "soon")]).await;
    assert_eq!((status, &error["code"]), (400, &json!("bad_request")));
    let (status, error) = stage.refused_form(&[]).await;
    assert_eq!((status, &error["code"]), (400, &json!("bad_request")));
}

/// Archives of real programs; their password is `secret`.
#[tokio::test]
async fn an_archive_that_does_not_open_says_why() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nzb/src/archive/fixtures");
    let post = |seed: &str, names: &[&str]| {
        let files: Vec<_> = (names.iter())
            .map(|name| (*name, fs::read(fixtures.join(name)).unwrap()))
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, &**bytes))
            .collect();
        Post::new(seed, &files, 50_000)
    };
    let stage = Stage::new(&[]).await;
    let (h5, p5) = (
        ["h5.part1.rar", "h5.part2.rar"],
        ["p5.part1.rar", "p5.part2.rar"],
    );
    // RAR 4 takes 28 characters of a password.
    let (h4, too_long) = (["h4.part1.rar", "h4.part2.rar"], "x".repeat(29));
    for (at, (names, password, code)) in [
        (&h5[..], None, "encrypted"),
        (&p5, None, "encrypted"),
        (&["h.7z"], None, "encrypted"),
        (&h5, Some("wrong"), "wrong_password"),
        (&["p.7z"], Some("wrong"), "wrong_password"),
        (&["c5.rar"], None, "compressed"),
        (&["c.7z"], None, "compressed"),
        (&h4, Some(&*too_long), "unsupported"),
    ]
    .into_iter()
    .enumerate()
    {
        let post = post(&format!("closed{at}"), names);
        stage.server.add(&post);
        let fields: Vec<_> = password
            .map(|password| ("password", password))
            .into_iter()
            .collect();
        let (status, error) = stage.refused(&post, &fields).await;
        assert_eq!(
            (status, &error["code"]),
            (422, &json!(code)),
            "{names:?} {error}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty(), "{message}");
        let id = &error["details"]["queue_item_id"];
        let mount = stage.gateway.json(&format!("/api/v1/mounts/{id}")).await;
        assert_eq!(
            (&mount["state"], &mount["failure"]["code"]),
            (&json!("failed"), &json!(code))
        );
        let past = format!("/sabnzbd/api?mode=history&apikey={KEY}&nzo_ids={id}");
        let past = stage.gateway.json(&past).await;
        let said = past["history"]["slots"][0]["fail_message"]
            .as_str()
            .unwrap();
        assert!(said.starts_with(&format!("{code}: ")), "{said}");
        if matches!(code, "encrypted" | "wrong_password") {
            let opened = stage
                .submit(&post, "post.nzb", &[("password", "secret")])
                .await;
            assert_eq!(opened["_queue_item_id"], *id);
            stage.is(&stage.path_of(&opened["streams"][0]), 200).await;
        }
    }
}

#[tokio::test]
async fn without_a_provider_that_answers_clients_are_told_to_come_again() {
    let film = film(200_000, 9);
    let post = Post::new("away", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    stage.server.set_refusal(Some("502 closed for today"));
    stage.server.cut_all();
    let (status, error) = stage.refused(&post, &[]).await;
    assert_eq!(
        (status, &error["code"]),
        (503, &json!("provider_unavailable")),
        "{error}"
    );
    // The provider is back, and so is the post.
    stage.server.set_refusal(None);
    let back = wait_until(SOON, "the provider", async || {
        let (kind, body) = multipart(&[], Some(("away.nzb", post.nzb().as_bytes())));
        let headers = [("x-api-key", KEY), ("content-type", &*kind)];
        let answer = stage
            .gateway
            .send(Method::POST, "/api/nzb/streams", &headers, body)
            .await;
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        if answer.status == 503 {
            assert!(header(&answer, "retry-after").parse::<u64>().is_ok());
        }
        (answer.status == 200).then_some(())
    });
    back.await.unwrap();
}

#[tokio::test]
async fn keys_are_taken_from_the_header_the_form_and_the_query() {
    let film = film(200_000, 10);
    let post = Post::new("keys", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    let download_key = hex(&digest(KEY.as_bytes()));
    let nzb = post.nzb();
    let file = Some(("k.nzb", nzb.as_bytes()));
    for (path, fields, headers, status) in [
        ("", vec![], vec![("x-api-key", KEY)], 200),
        ("", vec![("download_key", &*download_key)], vec![], 200),
        (
            &*format!("?download_key={download_key}"),
            vec![],
            vec![],
            200,
        ),
        ("", vec![], vec![], 401),
        ("", vec![("download_key", KEY)], vec![], 401),
        ("", vec![], vec![("x-api-key", &*download_key)], 401),
    ] {
        let (kind, body) = multipart(&fields, file);
        let mut headers = headers.clone();
        headers.push(("content-type", &kind));
        let path = format!("/api/nzb/streams{path}");
        let answer = stage
            .gateway
            .send(Method::POST, &path, &headers, body)
            .await;
        assert_eq!(answer.status, status, "{path} {fields:?}");
        if status == 401 {
            assert_eq!(json_of(&answer)["error"]["code"], "unauthorized");
        }
    }
}

#[tokio::test]
async fn aiostreams_sends_a_url_alone_and_gets_streams() {
    let film = film(400_000, 11);
    let volumes = rar5::volumes(&[("Film.2024.mkv", &film)], 90_000);
    let post = Post::volumes("aio", &volumes, 30_000).meta("password", "unused");
    let nzb = post.nzb();
    let indexer = Canned::start(move |path| match path.split('?').next() {
        Some("/get/Film.2024.nzb") => Answer::new("application/x-nzb", nzb.clone()),
        Some("/limit") => Answer::new(
            "text/xml",
            "<?xml version=\"1.0\"?><error code=\"500\" description=\"Request limit reached\"/>",
        ),
        Some("/page") => Answer::new("text/html", "<html>Sign in</html>"),
        _ => Answer::not_found(),
    })
    .await;
    let allow = "nzb_url_allow = [\"127.0.0.1\"]\n";
    let stage = Stage::with(&[&post], allow).await;
    let ask = async |path: &str| {
        let url = indexer.url(path);
        let body = form(&[("nzb_url", url.as_str())]);
        let headers = [
            ("x-api-key", KEY),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        stage
            .gateway
            .send(Method::POST, "/api/nzb/streams", &headers, body)
            .await
    };
    let answer = ask("/get/Film.2024.nzb?apikey=secret-of-the-indexer").await;
    let streams = json_of(&answer);
    assert_eq!(answer.status, 200, "{streams}");
    assert_eq!(streams["streams"][0]["title"], "Film.2024.mkv");
    stage
        .plays(&stage.path_of(&streams["streams"][0]), &film, 1000)
        .await;
    let mount = &stage.gateway.json("/api/v1/mounts").await["mounts"][0];
    assert_eq!(mount["name"], "Film.2024");
    for (path, status, code, said) in [
        ("/absent", 502, "upstream_fetch", "404"),
        ("/limit", 502, "upstream_fetch", "Request limit reached"),
        ("/page", 400, "bad_nzb", ""),
    ] {
        let answer = ask(&format!("{path}?apikey=secret-of-the-indexer")).await;
        let error = &json_of(&answer)["error"];
        assert_eq!(
            (answer.status, &error["code"]),
            (status, &json!(code)),
            "{error}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(said) && !message.contains("secret"),
            "{message}"
        );
    }
    let log = stage.gateway.log();
    assert!(!log.contains("secret-of-the-indexer"));

    // What is not allowed stays out of reach.
    let closed = Stage::new(&[]).await;
    let url = indexer.url("/get/Film.2024.nzb");
    for url in [
        url.as_str(),
        "http://169.254.169.254/x",
        "file:///etc/passwd",
        "no url",
    ] {
        let (status, error) = closed.refused_form(&[("nzb_url", url)]).await;
        assert_eq!(
            (status, &error["code"]),
            (400, &json!("upstream_fetch")),
            "{url} {error}"
        );
    }
}

/// The contract's round trips, over a line of 40 ms.
#[tokio::test]
async fn over_a_long_line_a_stream_takes_one_flight_and_its_first_byte_one_more() {
    const FAR: Duration = Duration::from_millis(40);
    let film = film(3_000_000, 12);
    let volumes = rar5::volumes(&[("film.mkv", &film)], 60_000);
    assert!(volumes.len() >= 50);
    let posts = [
        Post::new("plain", &[("film.mkv", &film)], 60_000),
        Post::volumes("volumes", &volumes, 60_000),
    ];
    let server = Server::start().await.unwrap();
    for post in &posts {
        server.add(post);
    }
    let proxy = Proxy::start(server.address(), FAR).await.unwrap();
    let stage = Stage::at(server, proxy.address(), "", &[]).await;
    for (post, name) in posts.iter().zip(["plain", "volumes"]) {
        stage.is_warm().await;
        proxy.reset();
        let answer = stage.submit(post, name, &[]).await;
        let flights = proxy.traffic().flights();
        assert_eq!(flights, 1, "{name}: {:?}", proxy.traffic().counts());
        let path = stage.path_of(&answer["streams"][0]);
        let mut reader = Connection::open(stage.gateway.port()).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(reader.send(request.as_bytes()).await);
        reader.read_until(SOON, "\r\n\r\n\u{1a}E").await.unwrap();
        let counts = proxy.traffic().counts();
        let flights = proxy.traffic().flights();
        assert!(flights <= 2, "{name}: {flights} flights, {counts:?}");
        drop(reader);
        stage.plays(&path, &film, 3).await;
    }
    let bodies = stage.server.asked().bodies;
    let twice: Vec<_> = bodies.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test]
async fn what_breaks_on_the_way_ends_the_connection_and_is_never_short() {
    let film = film(4_000_000, 13);
    let posting = Posting {
        part_bytes: 50_000,
        is_obfuscated: true,
    };
    let post = Post::with("breaks", &[("film.mkv", &film)], posting);
    let stage = Stage::new(&[&post]).await;
    let answer = stage.submit(&post, "breaks.nzb", &[]).await;
    let path = stage.path_of(&answer["streams"][0]);
    // Too many in a row to be made up for.
    for id in &post.ids(0)[30..50] {
        stage.server.set_fault(id, Some(Fault::Missing));
    }
    let mut reader = Connection::open(stage.gateway.port()).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(reader.send(request.as_bytes()).await);
    while reader.read_some(1 << 20).await > 0 {}
    let got = reader.read();
    let head_end = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&got[..head_end]).to_lowercase();
    assert!(head.contains("content-length: 4000000"), "{head}");
    let body = &got[head_end..];
    assert!(body.len() < film.len(), "the connection was closed early");
    assert!(body.len() >= 1_000_000, "{}", body.len());
    let sound = body.len().min(1_500_000);
    assert!(body[..sound] == film[..sound], "what came is the film's");

    // A range inside the hole has no head of success.
    let range = [("range", "bytes=2300000-2310000")];
    let refused = stage.gateway.send(Method::GET, &path, &range, "").await;
    assert_eq!(
        refused.status,
        422,
        "{}",
        String::from_utf8_lossy(&refused.body)
    );
}

#[tokio::test]
async fn strangers_who_send_slowly_or_much_keep_nobody_waiting() {
    const STRANGERS: usize = 20;
    let film = film(200_000, 15);
    let post = Post::new("strangers", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    let head = "POST /api/nzb/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\
                Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n";
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        let mut stranger = Connection::open(stage.gateway.port()).await;
        assert!(stranger.send(head.as_bytes()).await);
        strangers.push(stranger);
    }
    stage.submit(&post, "film.nzb", &[]).await;
    // In the end they are told why.
    let told = strangers[0].status().await;
    assert!(matches!(told, Some(401) | None), "{told:?}");
    drop(strangers);

    let much = vec![b'x'; 9 << 20];
    let (kind, body) = multipart(&[], Some(("x.nzb", &much)));
    let headers = [("content-type", &*kind)];
    let sent = stage
        .gateway
        .send(Method::POST, "/api/nzb/streams", &headers, body);
    let answer = sent.await;
    assert_eq!(answer.status, 401);
    assert_eq!(json_of(&answer)["error"]["code"], "unauthorized");
}
