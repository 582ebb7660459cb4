//! The routes that an earlier front end reads, asked as it asks.

mod e2e;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Answer, Canned, Gateway, SOON, check_clean, check_stretch, header, until_played};
use http::Method;
use serde_json::{Value, json};
use testkit::http::Fetched;
use testkit::origin::Fault;
use testkit::{Carrier, Clip, Origin, Player, Shape, Signing, Spec, wait_until};

const LIFE: Duration = Duration::from_secs(6);

async fn origin(shape: Shape, life: Duration) -> Origin {
    let signing = Signing {
        carrier: Carrier::Query,
        life,
        exclusive: false,
    };
    let spec = Spec {
        signing: Some(signing),
        shape,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

fn club(url: &url::Url) -> String {
    format!(
        "[[resolver]]\nid = \"club\"\nname = \"Club TV\"\nkind = \"http\"\nurl = \"{url}\"\nmin_interval_s = 1\n"
    )
}

/// As `btoa` with the front end's replacements.
fn base64url(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn body(answer: &Fetched) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{:?}", answer.body))
}

async fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    body(&answer)
}

/// As the front end posts: JSON, no key.
async fn post(gateway: &Gateway, path: &str, json: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let answer = gateway
        .send(Method::POST, path, &headers, json.to_string())
        .await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    body(&answer)
}

/// Waits until the listing has an entry that is live.
async fn a_live_stream(gateway: &Gateway) -> Value {
    let live = wait_until(SOON, "a live stream", async || {
        get(gateway, "/streams").await["streams"].get(0).cloned()
    });
    live.await.expect("probes find it")
}

fn unix_ms() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is right");
    i64::try_from(since.as_millis()).expect("before the end of time")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_five_calls_of_the_front_end_work_unchanged() {
    let origin = origin(Shape::Multivariant(3), LIFE).await;
    let season = r#"{"season":"2026","races":[{"race_name":"Grand Prix","round":1,"sessions":[
        {"type":"race","name":"Race","start_utc":"2020-01-01T00:00:00+00:00","duration_minutes":120},
        {"type":"race","name":"Long","start_utc":"2021-01-01T00:00:00+00:00","duration_minutes":99999999}]}]}"#;
    let calendar = Canned::start(move |_| Answer::new("application/json", season)).await;
    let schedule = format!(
        "[[schedule]]\nid = \"f1\"\nkind = \"json\"\nurl = \"{}\"\nchannels = [\"main\"]\n",
        calendar.url("/c.json")
    );
    let gateway = Gateway::serve(&(club(&origin.resolver_url()) + &schedule)).await;

    // fetchSchedule()
    let fetched = wait_until(SOON, "the schedule", async || {
        let schedule = get(&gateway, "/schedule").await;
        (schedule["races"][0].is_object()).then_some(schedule)
    });
    let schedule = fetched.await.unwrap();
    assert_eq!(schedule["season"], "2026");
    assert!(schedule["fetched_at"].as_str().unwrap().ends_with("+00:00"));
    let sessions = &schedule["races"][0]["sessions"];
    assert_eq!(
        (&sessions[0]["status"], &sessions[1]["status"]),
        (&json!("past"), &json!("live"))
    );
    assert_eq!(
        keys(&sessions[0]),
        ["duration_minutes", "name", "start_utc", "status", "type"]
    );

    // fetchStreams()
    let stream = a_live_stream(&gateway).await;
    let expected = [
        "bitrate",
        "checked_at",
        "extracted_at",
        "id",
        "is_live",
        "kind",
        "quality",
        "response_time_ms",
        "site_key",
        "site_name",
        "title",
        "url",
    ];
    assert_eq!(keys(&stream), expected);
    assert_eq!(
        (&stream["site_key"], &stream["site_name"]),
        (&json!("club"), &json!("Club TV"))
    );
    assert_eq!(
        (&stream["id"], &stream["title"], &stream["quality"]),
        (&json!("cam-1"), &json!("Race"), &json!("1080p"))
    );
    assert_eq!(
        (&stream["is_live"], &stream["bitrate"]),
        (&json!(true), &json!(600_000))
    );
    let reference = stream["url"].as_str().unwrap();
    assert!(
        !reference.contains("http") && !reference.contains("sig"),
        "{reference}"
    );

    // activateStream(url, siteKey)
    let activated = post(
        &gateway,
        "/streams/activate",
        &json!({"url": reference, "site_key": "club"}),
    )
    .await;
    assert_eq!(
        activated,
        json!({"status": "activated", "url": reference, "site_key": "club", "active_count": 1})
    );

    // getProxyUrl(url), as hls.js loads it.
    let proxy = format!("/proxy?url={}", base64url(reference));
    let master = gateway.get(&proxy).await;
    assert_eq!(master.status, 200, "{:?}", master.body);
    assert_eq!(
        header(&master, "content-type"),
        "application/vnd.apple.mpegurl"
    );
    let text = String::from_utf8(master.body.to_vec()).unwrap();
    assert_eq!(text.matches("proxy?url=").count(), 3, "{text}");
    let player = Player::start(gateway.watch(&proxy));
    until_played(&player, 12).await;
    let report = player.stop();
    assert!(
        report
            .segments
            .iter()
            .all(|played| played.uri.starts_with("relay?url=")),
        "{report}"
    );
    check_stretch(&origin, &report);
    assert!(
        report.lost.is_empty() && report.violations.is_empty(),
        "{report}"
    );
    let statuses = report
        .playlist_statuses
        .keys()
        .chain(report.segment_statuses.keys());
    assert!(statuses.clone().all(|status| *status == 200), "{report}");
    assert_eq!(origin.stats().refused, 0);

    // Who watches is seen by who administers, and is sent more than nothing.
    let viewers = gateway.json("/api/v1/viewers").await;
    let viewer = &viewers["viewers"][0];
    assert_eq!(viewer["channel"], "club/cam-1", "{viewers}");
    assert!(viewer["bytes"].as_u64() > Some(100_000), "{viewers}");

    // deactivateStream(url)
    let active = get(&gateway, "/streams/active").await;
    assert_eq!(active["count"], 1);
    let watched = &active["streams"][0];
    let expected = [
        "current_url",
        "last_error",
        "last_refreshed",
        "original_url",
        "refresh_count",
        "site_key",
    ];
    assert_eq!(keys(watched), expected);
    assert!(watched["refresh_count"].as_u64() >= Some(2), "{watched}");
    assert_eq!(
        (&watched["original_url"], &watched["current_url"]),
        (&stream["url"], &stream["url"])
    );
    let deactivated = post(&gateway, "/streams/deactivate", &json!({"url": reference})).await;
    assert_eq!(
        (&deactivated["status"], &deactivated["url"]),
        (&json!("deactivated"), &stream["url"])
    );
    let log = gateway.log();
    assert!(!log.contains("sig="), "no token in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_old_links_lead_to_the_newest_and_strangers_nowhere() {
    let origin = Arc::new(origin(Shape::Multivariant(2), SOON * 10).await);
    let old = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (signer, links) = (origin.clone(), old.clone());
    let canned = Canned::start(move |_| {
        let link = signer.sign();
        links.lock().unwrap().push(link.to_string());
        Answer::new(
            "application/json",
            format!(r#"{{"entries":[{{"id":"a","url":"{link}"}}]}}"#),
        )
    });
    let canned = canned.await;
    let mut gateway = Gateway::serve(&club(&canned.url("/streams.json"))).await;
    a_live_stream(&gateway).await;
    let unsigned = gateway.get("/extract").await;
    assert_eq!(unsigned.status, 405);
    let refused = gateway.send(Method::POST, "/extract", &[], "").await;
    assert_eq!(
        refused.status, 401,
        "running resolvers is for administrators"
    );
    while old.lock().unwrap().len() < 20 {
        let extracted = gateway.admin(Method::POST, "/extract", "").await;
        assert_eq!(
            body(&extracted),
            json!({"status": "extraction_complete", "streams_found": 1, "live_streams": 1, "extractors_run": 1})
        );
    }
    assert!(gateway.start_again().await);
    let all = gateway
        .admin(Method::GET, "/streams/all?reveal=1", "")
        .await;
    let links = old.lock().unwrap().clone();
    assert_eq!(
        body(&all)["streams"][0]["url"].as_str(),
        links.last().map(String::as_str)
    );
    let shown = get(&gateway, "/streams/all?reveal=1").await;
    assert!(
        !shown["streams"][0]["url"]
            .as_str()
            .unwrap()
            .contains("http"),
        "links are for administrators"
    );
    for link in &links {
        let answer = gateway
            .get(&format!("/proxy?url={}", base64url(link)))
            .await;
        assert_eq!(answer.status, 200, "{link}");
        let activated = post(
            &gateway,
            "/streams/activate",
            &json!({"url": link, "site_key": ""}),
        )
        .await;
        assert_eq!(activated["status"], "activated");
        assert_eq!(activated["active_count"], 1, "all of them are one stream");
    }
    // Law 7: what no resolver returned is not fetched, whoever asks.
    let stranger = origin.sign().to_string();
    for url in [
        stranger.as_str(),
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "",
    ] {
        for face in ["proxy", "relay"] {
            let answer = gateway
                .get(&format!("/{face}?url={}", base64url(url)))
                .await;
            assert_eq!(answer.status, 403, "{face} {url}");
        }
        let refused = post(
            &gateway,
            "/streams/activate",
            &json!({"url": url, "site_key": "club"}),
        )
        .await;
        assert_eq!(refused["status"], "error");
        assert!(refused["detail"].is_string());
    }
    for nonsense in ["/proxy?url=%25%25", "/proxy", "/proxy?url="] {
        assert!(
            [400, 403].contains(&gateway.get(nonsense).await.status),
            "{nonsense}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quality_picks_a_variant_the_best_first() {
    let origin = origin(Shape::Multivariant(3), SOON).await;
    let gateway = Gateway::serve(&club(&origin.resolver_url())).await;
    let stream = a_live_stream(&gateway).await;
    let proxy = format!("/proxy?url={}", base64url(stream["url"].as_str().unwrap()));
    for (quality, variant) in [(0, 2), (1, 1), (2, 0)] {
        let answer = gateway.get(&format!("{proxy}&quality={quality}")).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let segment = text
            .lines()
            .find(|line| line.starts_with("relay?url="))
            .unwrap();
        let segment = gateway.get(&format!("/{segment}")).await;
        assert_eq!(segment.status, 200);
        let mut indexes = 0..origin.head();
        assert!(
            indexes.any(|index| origin.expected_variant_segment(variant, index) == segment.body),
            "quality {quality}"
        );
    }
    for quality in ["3", "-1", "best"] {
        let answer = gateway.get(&format!("{proxy}&quality={quality}")).await;
        assert_eq!(
            (answer.status, body(&answer)["detail"].is_string()),
            (400, true)
        );
    }
    // Whose links they are, and how long they will do, is for who administers.
    let listed = gateway.json("/api/v1/resolvers").await;
    let club = &listed["resolvers"][0];
    assert_eq!(
        (&club["title"], &club["kind"], &club["error"]),
        (&json!("Club TV"), &json!("http"), &Value::Null)
    );
    let used = &club["in_use"][0];
    assert_eq!(
        (&used["id"], &used["link"]),
        (&stream["id"], &json!("alive"))
    );
    assert!(used["expires_ms"].as_i64().unwrap() > unix_ms(), "{used}");
    assert!(!listed.to_string().contains("http:"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_viewers_need_grants_only_the_key_opens_resolvers_streams() {
    let origin = origin(Shape::Ts, SOON).await;
    let toml = format!(
        "[auth]\nviewers = \"grant\"\n{}",
        club(&origin.resolver_url())
    );
    let gateway = Gateway::serve(&toml).await;
    let stream = wait_until(SOON, "the stream", async || {
        gateway.json("/streams").await["streams"].get(0).cloned()
    });
    let stream = stream.await.unwrap();
    let url = base64url(stream["url"].as_str().unwrap());
    for path in [
        "/streams".to_owned(),
        "/streams/all".to_owned(),
        "/streams/active".to_owned(),
        "/extractors".to_owned(),
        format!("/proxy?url={url}"),
        format!("/relay?url={url}"),
    ] {
        let answer = gateway.get(&path).await;
        assert_eq!(
            (answer.status, body(&answer)["detail"].is_string()),
            (401, true),
            "{path}"
        );
    }
    let activated = gateway
        .send(Method::POST, "/streams/activate", &[], stream.to_string())
        .await;
    assert_eq!(activated.status, 401);
    for open in ["/health", "/schedule", "/schedule.ics"] {
        assert_eq!(gateway.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_viewers_leaving_ends_nothing_for_the_second() {
    let origin = origin(Shape::Ts, LIFE).await;
    let gateway = Gateway::serve(&club(&origin.resolver_url())).await;
    let stream = a_live_stream(&gateway).await;
    let reference = stream["url"].as_str().unwrap();
    for _ in 0..2 {
        post(
            &gateway,
            "/streams/activate",
            &json!({"url": reference, "site_key": "club"}),
        )
        .await;
    }
    let proxy = format!("/proxy?url={}", base64url(reference));
    let first = Player::start(gateway.watch(&proxy));
    until_played(&first, 3).await;
    let second = gateway.player(&proxy).await;
    drop(first);
    let left = post(&gateway, "/streams/deactivate", &json!({"url": reference})).await;
    assert_eq!(left["active_count"], 1);
    // Not even one who lies about who left ends it: the second plays, and so the lease goes on.
    post(&gateway, "/streams/deactivate", &json!({"url": reference})).await;
    until_played(&second, 14).await;
    let report = second.stop();
    check_clean(&report);
    assert_eq!(
        (report.discontinuities().len(), origin.stats().refused),
        (0, 0),
        "{report}"
    );
    // Nobody plays and nobody says so any more: within the lease that a leaving leaves, it is over.
    post(&gateway, "/streams/deactivate", &json!({"url": reference})).await;
    let ended = wait_until(
        Duration::from_secs(60),
        "the end of the lease",
        async || (get(&gateway, "/streams/active").await["count"] == 0).then_some(()),
    );
    ended.await.expect("leases end");
    let calls = origin.stats().resolved;
    let over = wait_until(LIFE * 2, "no further run", async || {
        (origin.stats().resolved > calls).then_some(())
    });
    assert!(over.await.is_err(), "no lease, no refresh");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_relayed_with_ranges_under_whatever_link_it_has() {
    let origin = Arc::new(origin(Shape::Ts, LIFE).await);
    let (signer, calls) = (origin.clone(), Arc::new(AtomicU64::new(0)));
    let counted = calls.clone();
    let canned = Canned::start(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut link = signer.sign();
        link.set_path("/seg/0.ts");
        Answer::new(
            "application/json",
            format!(r#"{{"entries":[{{"id":"a","kind":"file","url":"{link}"}}]}}"#),
        )
    });
    let canned = canned.await;
    let gateway = Gateway::serve(&club(&canned.url("/streams.json"))).await;
    let listed = wait_until(SOON, "the file", async || {
        get(&gateway, "/streams/all").await["streams"]
            .get(0)
            .cloned()
    });
    let stream = listed.await.unwrap();
    let relay = format!("/relay?url={}", base64url(stream["url"].as_str().unwrap()));
    let media = Clip::A.stream(0, 1);
    let whole = gateway.get(&relay).await;
    // Whatever its source calls it, it is nothing that may run on our origin.
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    assert!(header(&whole, "content-security-policy").contains("sandbox"));
    assert_eq!((whole.status, &whole.body), (200, &media));
    assert_eq!(header(&whole, "content-length"), media.len().to_string());
    let part = gateway
        .send(Method::GET, &relay, &[("range", "bytes=100-299")], "")
        .await;
    assert_eq!((part.status, &part.body[..]), (206, &media[100..300]));
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 100-299/{}", media.len())
    );
    let rest = gateway
        .send(Method::GET, &relay, &[("range", "bytes=188-")], "")
        .await;
    assert_eq!((rest.status, &rest.body[..]), (206, &media[188..]));
    for (range, from) in [("bytes=-500", media.len() - 500), ("bytes=-99999999", 0)] {
        let last = gateway
            .send(Method::GET, &relay, &[("range", range)], "")
            .await;
        assert_eq!(
            (last.status, &last.body[..]),
            (206, &media[from..]),
            "{range}"
        );
        assert_eq!(
            header(&last, "content-range"),
            format!("bytes {from}-{}/{}", media.len() - 1, media.len())
        );
    }
    let beyond = gateway
        .send(Method::GET, &relay, &[("range", "bytes=99999999-")], "")
        .await;
    assert_eq!(beyond.status, 416);
    let playlist = gateway.get(&relay.replace("relay", "proxy")).await;
    assert_eq!(playlist.status, 400, "a file is no playlist");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_the_table() {
    let origin = origin(Shape::Ts, SOON).await;
    let day = 24 * 3600 * 1000;
    let start_ms = unix_ms() / day * day + 10 * day;
    let on = |days: i64| schedule::rfc3339(start_ms + days * day).replace("+00:00", "Z");
    let date = on(0)[..10].replace('-', "");
    let written = date.clone();
    let calendar = Canned::start(move |path| match path {
        "/down" => Answer::not_found(),
        _ => Answer::new(
            "text/calendar",
            format!(
                "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Final\r\nDTSTART;TZID=Asia/Kolkata:{written}T150000\r\n\
             DURATION:PT2H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            ),
        ),
    });
    let calendar = calendar.await;
    let schedule = |path: &str| {
        format!(
            "[[schedule]]\nid = \"cup\"\nkind = \"ical\"\nurl = \"{}\"\n",
            calendar.url(path)
        )
    };
    let mut gateway = Gateway::serve(&(club(&origin.resolver_url()) + &schedule("/up"))).await;
    assert_eq!(get(&gateway, "/health").await, json!({"status": "ok"}));
    a_live_stream(&gateway).await;
    let extractors = get(&gateway, "/extractors").await;
    assert_eq!(
        extractors["extractors"],
        json!([{"site_key": "club", "site_name": "Club TV", "cached_streams": 1, "live_streams": 1}])
    );
    assert_eq!(
        (
            &extractors["total_cached_streams"],
            &extractors["last_run_stream_count"]
        ),
        (&json!(1), &json!(1))
    );
    assert!(extractors["last_run"].is_string() && extractors["total_live_streams"] == 1);

    let refused = gateway
        .send(Method::POST, "/schedule/refresh", &[], "")
        .await;
    assert_eq!(refused.status, 401);
    let refreshed = gateway.admin(Method::POST, "/schedule/refresh", "").await;
    assert_eq!(body(&refreshed), json!({"status": "refreshed"}));
    let window = format!("/api/v1/schedule?from={}&to={}", on(-1), on(1));
    let found = gateway.json(&window).await;
    assert_eq!(
        (
            &found["sessions"][0]["event"],
            &found["sessions"][0]["start_utc"]
        ),
        (
            &json!("Final"),
            &json!(on(0).replace("T00:00:00Z", "T09:30:00+00:00"))
        )
    );
    let none = gateway
        .json(&format!("/api/v1/schedule?from={}&to={}", on(1), on(2)))
        .await;
    assert_eq!(none["sessions"], json!([]));
    let export = gateway.get("/schedule.ics").await;
    assert!(
        String::from_utf8_lossy(&export.body)
            .contains(&format!("DTSTART:{date}T093000Z\r\nDTEND:{date}T113000Z"))
    );

    // Its source is down, and so were we: the copy is served, with its age.
    gateway.configure(&(club(&origin.resolver_url()) + &schedule("/down")));
    assert!(gateway.start_again().await);
    gateway.admin(Method::POST, "/schedule/refresh", "").await;
    let found = gateway.json(&window).await;
    assert_eq!(found["sessions"][0]["event"], "Final");
    let source = &found["schedules"][0];
    assert!(
        source["age_s"].is_u64() && source["error"].as_str().unwrap().contains("404"),
        "{source}"
    );
    assert_eq!(
        get(&gateway, "/schedule").await["races"][0]["race_name"],
        "Final"
    );
    let preflight = gateway
        .send(
            Method::OPTIONS,
            "/streams/activate",
            &[("origin", "https://tv.example")],
            "",
        )
        .await;
    assert_eq!(
        (
            preflight.status,
            header(&preflight, "access-control-allow-methods")
        ),
        (200, "GET, POST, OPTIONS")
    );
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
}

/// A resolver whose answer the test writes, and an origin whose playlist it refuses.
struct Club {
    gateway: Gateway,
    reference: String,
    answer: Arc<std::sync::Mutex<String>>,
    _canned: Canned,
}

async fn club_of(entry: &str) -> Club {
    let answer = Arc::new(std::sync::Mutex::new(format!("{{\"entries\":[{entry}]}}")));
    let written = answer.clone();
    let canned = Canned::start(move |_| {
        Answer::new(
            "application/json",
            written.lock().expect("no writer panics").clone(),
        )
    });
    let canned = canned.await;
    let gateway = Gateway::serve(&club(&canned.url("/streams.json"))).await;
    let listed = wait_until(SOON, "the entry", async || {
        get(&gateway, "/streams/all").await["streams"]
            .get(0)
            .cloned()
    });
    let listed = listed.await.expect("resolvers are asked at the start");
    let reference = listed["url"].as_str().expect("a string").to_owned();
    Club {
        gateway,
        reference,
        answer,
        _canned: canned,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_left_out_for_a_while_is_waited_for() {
    let origin = origin(Shape::Ts, SOON * 10).await;
    let entry = format!(r#"{{"id":"a","url":"{}"}}"#, origin.sign());
    let club = club_of(&entry).await;
    let gateway = &club.gateway;
    let proxy = format!("/proxy?url={}", base64url(&club.reference));
    *club.answer.lock().unwrap() = r#"{"entries":[]}"#.to_owned();
    wait_until(SOON, "a result without it", async || {
        gateway.admin(Method::POST, "/extract", "").await;
        (get(gateway, "/streams/all").await["count"] == 0).then_some(())
    })
    .await
    .unwrap();
    // No 4xx: players do not come back from that.
    for path in [&proxy, &proxy.replace("proxy", "relay")] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(!header(&answer, "retry-after").is_empty());
        let detail = body(&answer)["detail"].to_string();
        assert!(detail.contains("lists no entry"), "{detail}");
    }
    *club.answer.lock().unwrap() = format!("{{\"entries\":[{entry}]}}");
    let back = wait_until(SOON * 2, "its return", async || {
        gateway.admin(Method::POST, "/extract", "").await;
        (gateway.get(&proxy).await.status == 200).then_some(())
    });
    back.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_never_goes_live_says_why() {
    let origin = origin(Shape::Ts, SOON * 10).await;
    let mut link = origin.sign();
    link.set_path("/no/such.m3u8");
    let club = club_of(&format!(r#"{{"id":"a","url":"{link}"}}"#)).await;
    let proxy = format!("/proxy?url={}", base64url(&club.reference));
    let answer = club.gateway.get(&proxy).await;
    assert_eq!(answer.status, 503);
    let detail = body(&answer)["detail"].to_string();
    assert!(
        detail.contains("404") && !detail.contains("sig="),
        "{detail}"
    );
    // And one that its resolver says is not live says so, without ten seconds.
    let entry = r#"{"id":"a","url":"http://127.0.0.1:9/x.m3u8","ttl_s":1}"#;
    let club = club_of(entry).await;
    *club.answer.lock().unwrap() =
        r#"{"error":{"code":"not_live","detail":"at eight"}}"#.to_owned();
    let proxy = format!("/proxy?url={}", base64url(&club.reference));
    let told = wait_until(SOON * 2, "the resolver's word", async || {
        let answer = club.gateway.get(&proxy).await;
        assert_eq!(answer.status, 503);
        let detail = body(&answer)["detail"].to_string();
        detail.contains("not_live: at eight").then_some(())
    });
    told.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_before_a_restart_is_gone_and_no_strangers() {
    let origin = origin(Shape::Ts, SOON * 10).await;
    let entry = format!(r#"{{"id":"a","url":"{}"}}"#, origin.sign());
    let mut club = club_of(&entry).await;
    assert!(club.gateway.start_again().await);
    let file = format!("/relay?url={}.main.1.ts", club.reference);
    assert_eq!(club.gateway.get(&file).await.status, 404);
    let stranger = "/relay?url=AAAAAAAAAAAAAAAAAAAAAAAA.main.1.ts";
    assert_eq!(club.gateway.get(stranger).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refusal_does_not_end_a_stream_whose_link_never_changes() {
    let origin = Arc::new(origin(Shape::Ts, SOON * 10).await);
    let entry = format!(r#"{{"id":"a","url":"{}"}}"#, origin.sign());
    let club = club_of(&entry).await;
    let proxy = format!("/proxy?url={}", base64url(&club.reference));
    let player = Player::start(club.gateway.watch(&proxy));
    until_played(&player, 3).await;
    origin.set_fault(Some(Fault::Status {
        code: 403,
        retry_after: None,
    }));
    let refused = origin.stats().requests;
    wait_until(SOON, "a refusal", async || {
        (origin.stats().requests > refused).then_some(())
    })
    .await
    .unwrap();
    origin.set_fault(None);
    let played = player.report().segments.len();
    until_played(&player, played + 4).await;
    let report = player.stop();
    let statuses = report.playlist_statuses.keys();
    let statuses = statuses.chain(report.segment_statuses.keys());
    assert!(
        statuses.clone().all(|status| [200, 503].contains(status)),
        "{report}"
    );
    assert!(report.violations.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_entries_is_looked_at() {
    const ENTRIES: usize = 205;
    let origin = origin(Shape::Ts, SOON * 10).await;
    let link = origin.sign();
    let entries = (0..ENTRIES).map(|number| format!(r#"{{"id":"{number}","url":"{link}"}}"#));
    let entries: Vec<_> = entries.collect();
    let club = club_of(&entries.join(",")).await;
    let live = wait_until(SOON * 3, "all of them live", async || {
        (get(&club.gateway, "/streams").await["count"] == ENTRIES).then_some(())
    });
    live.await.unwrap();
    // What has been looked at is not looked at again for those that were left.
    let looks = origin.stats().playlists;
    assert_eq!(looks, ENTRIES as u64);
}
