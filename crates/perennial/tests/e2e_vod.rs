//! Private libraries through the program itself, with a real S3 server behind it: every status of the
//! contract, grants of every kind and fault, shares, and what ends them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod e2e;
#[path = "../../vod/tests/gear/mod.rs"]
mod gear;

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Connection, Gateway, SOON, header};
use gear::{ACCESS_KEY, BUCKET, Fault, S3, SECRET_KEY};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use testkit::http::Fetched;
use testkit::{Clip, Origin, Spec, wait_until};

const JWT_SECRET: &str = "a secret of another service";
const SEGMENT_BYTES: usize = 400_000;

struct Stage {
    s3: S3,
    gateway: Gateway,
}

fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

fn library(s3: &S3, segments: &str, grants: &str) -> String {
    format!(
        "[grants]\njwt_secret_file = \"jwt\"\n{grants}\n[[library]]\nid = \"media\"\nkind = \"s3\"\n\
         endpoint = \"http://{}\"\nregion = \"ch-gva-2\"\nbucket = \"{BUCKET}\"\npath_style = true\n\
         access_key_id_file = \"id\"\nsecret_access_key_file = \"secret\"\nsegments = \"{segments}\"\n",
        s3.address
    )
}

impl Stage {
    async fn new(segments: &str) -> Self {
        Self::with(segments, "", "").await
    }

    async fn with(segments: &str, grants: &str, rest: &str) -> Self {
        let s3 = S3::start().await;
        put_film(&s3, "processed/film 1");
        s3.put("raw/Film – Café.MOV", "the original");
        s3.put("pictures/poster.jpg", "a picture");
        s3.put("raw/scan.tif", "a raw picture");
        s3.put("sound/song.mp3", "a song");
        let toml = format!("{rest}{}", library(&s3, segments, grants));
        let gateway = Gateway::serve_beside(
            &toml,
            &[
                ("jwt", JWT_SECRET),
                ("id", ACCESS_KEY),
                ("secret", SECRET_KEY),
            ],
        )
        .await;
        Self { s3, gateway }
    }

    async fn admin(&self, method: Method, path: &str, input: &str, status: u16) -> Value {
        let answer = self.gateway.admin(method, path, input).await;
        let body = body(&answer);
        assert_eq!(answer.status, status, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, input: &Value) -> Value {
        self.admin(Method::POST, path, &input.to_string(), 201)
            .await
    }

    async fn add(&self, input: Value) -> String {
        let added = self.post("/api/v1/assets", &input).await;
        added["id"].as_str().unwrap().to_owned()
    }

    /// The only asset there is.
    async fn film_id(&self) -> String {
        let assets = self.gateway.json("/api/v1/assets").await;
        assert_eq!(assets["assets"].as_array().unwrap().len(), 1);
        assets["assets"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn film(&self) -> String {
        self.add(json!({ "library": "media", "kind": "video", "prefix": "processed/film 1", "name": "Film",
            "raw_key": "raw/Film – Café.MOV", "download_name": "Café", "slug": "film" }))
            .await
    }

    /// What `/assets/{id}/stream` leads to.
    async fn stream(&self, id: &str, query: &str) -> String {
        let answer = self
            .gateway
            .admin(Method::GET, &format!("/assets/{id}/stream{query}"), "")
            .await;
        assert_eq!(answer.status, 200, "{:?}", body(&answer));
        body(&answer)["url"].as_str().unwrap().to_owned()
    }

    async fn mint(&self, input: Value) -> (String, String) {
        let minted = self.post("/api/v1/grants", &input).await;
        (
            minted["id"].as_str().unwrap().into(),
            minted["url"].as_str().unwrap().into(),
        )
    }

    async fn share(&self, id: &str, input: Value) -> String {
        let path = format!("/api/v1/assets/{id}/shares");
        let share = self.post(&path, &input).await;
        share["token"].as_str().unwrap().to_owned()
    }

    /// The metrics say what the bucket was asked: at least for so many bytes.
    async fn check_counted(&self, bytes: usize) {
        let metrics = self.gateway.admin(Method::GET, "/metrics", "").await;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let count = |name: &str| {
            let name = format!("perennial_library_{name}_total{{library=\"media\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|count| count.parse::<usize>().ok())
        };
        assert!(count("bytes_in") >= Some(bytes), "{metrics}");
        assert!(
            count("requests") >= Some(3) && count("failures") == Some(0),
            "{metrics}"
        );
    }

    async fn is(&self, path: &str, status: u16) -> Fetched {
        let answer = self.gateway.get(path).await;
        assert_eq!(
            answer.status,
            status,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer
    }

    /// Where an answer says that something plays.
    async fn url(&self, path: &str) -> String {
        let answer = body(&self.is(path, 200).await);
        answer["url"].as_str().unwrap().to_owned()
    }

    async fn detail(&self, path: &str, status: u16) -> String {
        let answer = self.is(path, status).await;
        assert!(
            header(&answer, "content-type").starts_with("application/json"),
            "{path}"
        );
        let body = body(&answer);
        let detail = body["detail"].as_str().unwrap().to_owned();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        for secret in [BUCKET, ACCESS_KEY, "127.0.0.1", "X-Amz"] {
            assert!(!detail.contains(secret), "{detail}");
        }
        detail
    }

    /// No log of any level shows what opens a door.
    fn no_secrets(&self, secrets: &[&str]) {
        let log = self.gateway.log();
        for secret in secrets.iter().chain(&[
            JWT_SECRET,
            SECRET_KEY,
            ACCESS_KEY,
            "X-Amz-Signature",
            "correct horse",
        ]) {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "the log shows a secret: {line:?}");
        }
    }
}

fn put_film(s3: &S3, prefix: &str) {
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\nv 0/index.m3u8\n";
    s3.put(&format!("{prefix}/master.m3u8"), master);
    let mut media =
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"k/1.key\"\n".to_owned();
    for n in 0..4 {
        write!(media, "#EXTINF:4,\nseg+{n}%25.ts\n").unwrap();
        s3.put(
            &format!("{prefix}/v 0/seg+{n}%.ts"),
            vec![n as u8; SEGMENT_BYTES],
        );
    }
    s3.put(
        &format!("{prefix}/v 0/index.m3u8"),
        media + "#EXT-X-ENDLIST\n",
    );
    s3.put(&format!("{prefix}/v 0/k/1.key"), [9; 16]);
}

fn body(answer: &Fetched) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

fn jwt(secret: &str, header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

fn hls_token(claims: &Value) -> String {
    jwt(JWT_SECRET, &json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compatible_routes_are_as_they_were() {
    let stage = Stage::new("redirect").await;
    let film = stage.film().await;
    let url = stage.stream(&film, "").await;
    let (path, token) = url.split_once("?token=").unwrap();
    assert_eq!(path, "/stream/hls/master.m3u8");
    let claims = URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["pfx"]),
        (&json!("hls"), &json!("processed/film 1"))
    );
    let left = claims["exp"].as_i64().unwrap() - now_s();
    assert!((86_390..=86_400).contains(&left), "{left}");

    let answer = stage.is(&url, 200).await;
    assert_eq!(
        header(&answer, "content-type"),
        "application/vnd.apple.mpegurl"
    );
    assert!(header(&answer, "cache-control").contains("no-store"));
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        text.contains(&format!("v%200/index.m3u8?token={token}")),
        "{text}"
    );
    let media = stage
        .is(&format!("/stream/hls/v%200/index.m3u8?token={token}"), 200)
        .await;
    let media = String::from_utf8(media.body.to_vec()).unwrap();
    let segment = media
        .lines()
        .find(|line| line.starts_with("../../../vod/"))
        .unwrap();
    assert!(
        segment.ends_with("/v%200/seg%2B0%25.ts") && !media.contains(BUCKET),
        "{media}"
    );
    let served = stage.is(segment.trim_start_matches("../../.."), 302).await;
    let target = header(&served, "location");
    assert!(
        target.contains("X-Amz-Expires=300") && target.contains("seg%2B0%25.ts"),
        "{target}"
    );

    // Downloads, pictures, sounds.
    let download = stage.stream(&film, "?download=true").await;
    assert!(
        download.contains("X-Amz-Expires=3600") && !download.contains("/stream/hls/"),
        "{download}"
    );
    let disposition: url::Url = download.parse().unwrap();
    let disposition = disposition
        .query_pairs()
        .find(|(name, _)| name == "response-content-disposition")
        .unwrap()
        .1
        .into_owned();
    assert_eq!(
        disposition,
        "attachment; filename=\"Caf_.MOV\"; filename*=UTF-8''Caf%C3%A9%2EMOV"
    );
    for (kind, processed, raw, expected) in [
        (
            "image",
            Some("pictures/poster.jpg"),
            "raw/scan.tif",
            "poster.jpg",
        ),
        ("image", None, "raw/scan.tif", "scan.tif"),
        ("audio", Some("sound/song.mp3"), "raw/x", "song.mp3"),
    ] {
        let id = stage
            .add(json!({ "library": "media", "kind": kind, "name": "N", "processed_key": processed, "raw_key": raw }))
            .await;
        let url = stage.stream(&id, "").await;
        assert!(
            url.contains(expected) && url.contains("X-Amz-Expires=3600") && !url.contains("m3u8"),
            "{url}"
        );
    }
    let unready = stage
        .add(json!({ "library": "media", "kind": "video", "name": "N", "raw_key": "raw/y" }))
        .await;
    let keyed = async |path: &str| stage.gateway.admin(Method::GET, path, "").await.status;
    assert_eq!(keyed(&format!("/assets/{unready}/stream")).await, 409);
    assert_eq!(
        keyed("/assets/00000000-0000-4000-8000-000000000000/stream").await,
        404
    );
    stage.detail(&format!("/assets/{film}/stream"), 401).await;
    let (_, grant_url) = stage.mint(json!({ "asset": "film" })).await;
    let grant = grant_url.split('/').nth(3).unwrap();
    stage
        .is(&format!("/assets/{film}/stream?grant={grant}"), 200)
        .await;
    stage
        .detail(
            &format!("/assets/{film}/stream?download=true&grant={grant}"),
            403,
        )
        .await;
    stage
        .detail(&format!("/assets/{unready}/stream?grant={grant}"), 403)
        .await;
    stage.no_secrets(&[token, grant]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_others_are_taken_and_bad_ones_told_apart() {
    let stage = Stage::new("tunnel").await;
    let claims = json!({ "sub": "hls", "pfx": "processed/film 1", "exp": now_s() + 86_400 });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        hls_token(&claims)
    };
    let good = hls_token(&claims);
    let at = |path: &str, token: &str| format!("/stream/hls/{path}?token={token}");
    stage.is(&at("master.m3u8", &good), 200).await;
    stage.is(&at("v%200/index.m3u8", &good), 200).await;
    // It was registered, once, by its first use.
    assert_eq!(
        stage.gateway.json("/api/v1/assets").await["assets"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        good.split('.').nth(1).unwrap()
    );
    let confused = jwt(JWT_SECRET, &json!({ "alg": "HS512" }), &claims);
    for bad in [
        "",
        "x",
        &unsigned,
        &confused,
        &good[..good.len() - 4],
        &format!("{good}A"),
        &jwt("another secret", &json!({ "alg": "HS256" }), &claims),
        &with("exp", json!(now_s() - 1)),
        // A clock off by hours.
        &with("exp", json!(now_s() - 3 * 3600)),
    ] {
        stage.detail(&at("master.m3u8", bad), 401).await;
    }
    stage
        .detail(&at("master.m3u8", &with("sub", json!("access"))), 403)
        .await;
    for path in [
        "v%200/seg%2B0%25.ts",
        "v%200/k/1.key",
        "..%2fy.m3u8",
        "a%5c..%5cy.m3u8",
        "//evil.example/y.m3u8",
        "http://evil.example/y.m3u8",
    ] {
        stage.detail(&at(path, &good), 400).await;
    }
    // Dots as no client would send them.
    for path in ["x/../../y.m3u8", "%2e%2e/y.m3u8", "../y.m3u8", "./y.m3u8"] {
        let mut connection = Connection::open(stage.gateway.port()).await;
        let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", at(path, &good));
        connection.send(request.as_bytes()).await;
        assert_eq!(connection.status().await, Some(400), "{path}");
    }
    stage.detail(&at("nothing.m3u8", &good), 404).await;
    stage
        .detail(&at("master.m3u8", &with("pfx", json!("processed"))), 404)
        .await;
    stage
        .detail(&at("master.m3u8", &with("pfx", json!(""))), 400)
        .await;
    for (fault, status) in [
        (Fault::Status(403), 502),
        (Fault::Status(500), 503),
        (Fault::Status(404), 404),
        (Fault::Cut, 503),
    ] {
        put_film(&stage.s3, "processed/film 1");
        stage.s3.put("processed/film 1/other.m3u8", "#EXTM3U\n");
        stage.s3.set_fault(Some(fault));
        stage.detail(&at("other.m3u8", &good), status).await;
        stage.s3.set_fault(None);
    }
    stage.s3.put("processed/film 1/page.m3u8", "<html>");
    let told = stage.detail(&at("page.m3u8", &good), 502).await;
    assert!(
        told.contains("does not begin with #EXTM3U") && !told.contains("html"),
        "{told}"
    );
    assert!(
        stage
            .gateway
            .log()
            .contains("the store refuses to give processed/film 1/other.m3u8")
    );

    // Revoked: what was minted before ends, what others mint later is good.
    let id = stage.gateway.json("/api/v1/assets").await["assets"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let revoke = format!("/api/v1/assets/{id}/revoke");
    stage.admin(Method::POST, &revoke, "", 204).await;
    stage.detail(&at("master.m3u8", &good), 403).await;
    let later = json!({ "sub": "hls", "pfx": "processed/film 1", "exp": now_s() + 3600, "iat": now_s() + 2 });
    stage.is(&at("master.m3u8", &hls_token(&later)), 200).await;

    // One token may be for many films.
    let shelf =
        json!({ "sub": "hls", "pfx": "processed", "exp": now_s() + 3600, "iat": now_s() + 2 });
    let shelf = hls_token(&shelf);
    put_film(&stage.s3, "processed/film 2");
    for film in ["film%201", "film%202", "film%201"] {
        let list = format!("{film}/v%200/index.m3u8");
        let list = stage.is(&at(&list, &shelf), 200).await;
        let list = String::from_utf8(list.body.to_vec()).unwrap();
        let media = list.lines().find(|line| line.ends_with(".ts")).unwrap();
        stage.is(&media["../../../..".len()..], 200).await;
    }
    stage.no_secrets(&[&good]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_does_not_say_when_it_was_made_ends_with_a_revocation() {
    let mut stage = Stage::new("tunnel").await;
    let at = |claims: Value| format!("/stream/hls/master.m3u8?token={}", hls_token(&claims));
    let lives = |s: i64| json!({ "sub": "hls", "pfx": "processed/film 1", "exp": now_s() + s });
    let (used, unused) = (at(lives(7 * 86_400)), at(lives(7 * 86_400 + 1)));
    stage.is(&used, 200).await;
    let id = stage.film_id().await;
    let revoke = format!("/api/v1/assets/{id}/revoke");
    stage.gateway.admin(Method::POST, &revoke, "").await;
    let made = now_s();
    let mut dated = lives(3600);
    dated["iat"] = json!(made + 2);
    let dated = at(dated);
    for restarted in [false, true] {
        if restarted {
            assert!(stage.gateway.start_again().await);
        }
        for old in [&used, &unused, &at(lives(3600))] {
            let told = stage.detail(old, 403).await;
            assert!(told.contains("does not say (iat)"), "{told}");
        }
        stage.is(&dated, 200).await;
    }
    // Where their minter promises how long they live, a later one is told from an earlier one.
    let toml = library(&stage.s3, "tunnel", "jwt_lifetime_s = 60");
    stage.gateway.configure(&toml);
    stage.gateway.signal("HUP");
    let fresh = wait_until(SOON, "a token made after the revocation", async || {
        (stage.gateway.get(&at(lives(60))).await.status == 200).then_some(())
    });
    fresh.await.unwrap();
    let mut before = lives(0);
    before["exp"] = json!(made + 58);
    stage.detail(&at(before), 403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_not_outlive_what_was_removed_where_it_leads() {
    let mut stage = Stage::new("tunnel").await;
    let token = |below: &str, later: bool| {
        let mut claims = json!({ "sub": "hls", "pfx": below, "exp": now_s() + 3600 });
        if later {
            claims["iat"] = json!(now_s() + 2);
        }
        hls_token(&claims)
    };
    let of_film = |path: &str, later| {
        let token = token("processed/film 1", later);
        format!("/stream/hls/{path}?token={token}")
    };
    stage.is(&of_film("master.m3u8", false), 200).await;
    let film = format!("/api/v1/assets/{}", stage.film_id().await);
    stage.admin(Method::DELETE, &film, "", 204).await;
    for restarted in [false, true] {
        if restarted {
            assert!(stage.gateway.start_again().await);
        }
        // Nor by another list of it, nor from above; what was never part of it is none of its business.
        stage.detail(&of_film("master.m3u8", false), 403).await;
        stage.detail(&of_film("v%200/index.m3u8", false), 403).await;
        let above = token("processed", false);
        let above = format!("/stream/hls/film%201/master.m3u8?token={above}");
        stage.detail(&above, 403).await;
        put_film(&stage.s3, "processed/film 2");
        let other = token("processed/film 2", false);
        stage
            .is(&format!("/stream/hls/master.m3u8?token={other}"), 200)
            .await;
        stage.is(&of_film("master.m3u8", true), 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_hold_wherever_there_are_ranges() {
    let stage = Stage::new("tunnel").await;
    let film = stage.film().await;
    let order = json!({ "asset": film, "actions": ["play", "download"] });
    let minted = stage.post("/api/v1/grants", &order).await;
    let url = |name: &str| minted[name].as_str().unwrap().to_owned();
    let segment = url("url").replace("master.m3u8", "v%200/seg%2B0%25.ts");
    for path in [segment, url("download_url")] {
        let whole = stage.is(&path, 200).await;
        let (length, etag) = (whole.body.len(), header(&whole, "etag").to_owned());
        let (some, none) = (("range", "bytes=1-3"), ("range", "bytes=9999999-"));
        for (headers, status, sent) in [
            (vec![some], 206, 3),
            (vec![some, ("if-range", etag.as_str())], 206, 3),
            (vec![some, ("if-range", "\"else\"")], 200, length),
            (vec![("range", "bytes=0-0,2-2")], 200, length),
            (vec![("if-match", etag.as_str())], 200, length),
            (vec![some, ("if-none-match", etag.as_str())], 304, 0),
        ] {
            let answer = stage.gateway.send(Method::GET, &path, &headers, "").await;
            let got = (answer.status, answer.body.len());
            assert_eq!(got, (status, sent), "{headers:?}");
        }
        let other = [("if-match", "\"else\"")];
        let answer = stage.gateway.send(Method::GET, &path, &other, "").await;
        assert_eq!(answer.status, 412);
        let answer = stage.gateway.send(Method::GET, &path, &[none], "").await;
        assert_eq!(answer.status, 416);
        assert_eq!(
            header(&answer, "content-range"),
            format!("bytes */{length}")
        );
        let head = stage.gateway.send(Method::HEAD, &path, &[some], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(header(&head, "content-length"), length.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_is_understood_or_told_in_their_shape() {
    let stage = Stage::new("tunnel").await;
    let film = stage.film().await;
    let (_, url) = stage
        .mint(
            json!({ "asset": film, "actions": ["play", "download"], "user_agent": "",
        "expires_at": "2099-01-01T00:00:00Z" }),
        )
        .await;
    stage.is(&url, 200).await;
    let grant = url.split('/').nth(3).unwrap();
    let at = |query: &str| format!("/assets/{film}/stream?grant={grant}&{query}");
    for query in ["download", "download=1", "download=True", "download=true"] {
        let answer = stage.is(&at(query), 200).await;
        assert!(
            body(&answer)["url"]
                .as_str()
                .unwrap()
                .starts_with("/download/"),
            "{query}"
        );
        assert_eq!(header(&answer, "cache-control"), "no-store");
    }
    stage.detail(&at("download=maybe"), 400).await;
    stage
        .detail(
            &format!(
                "{}&token=2",
                url.replace(&url, "/stream/hls/master.m3u8?token=1")
            ),
            400,
        )
        .await;
    let share = stage
        .gateway
        .admin(Method::POST, &format!("/api/v1/assets/{film}/shares"), "")
        .await;
    assert_eq!(
        (share.status, header(&share, "cache-control")),
        (201, "no-store")
    );
    let share = body(&share)["url"].as_str().unwrap().to_owned();
    stage
        .detail(&format!("{share}/stream/{film}?download=maybe"), 400)
        .await;

    // The page says to programs too what became of its link.
    let html = [("accept", "text/html,*/*;q=0.8")];
    let page = async |path: &str| {
        let answer = stage.gateway.send(Method::GET, path, &html, "").await;
        assert!(
            header(&answer, "content-type").starts_with("text/html"),
            "{path}"
        );
        answer.status
    };
    assert_eq!(page(&share).await, 200);
    assert_eq!(page("/share/none").await, 404);
    let patch = format!("/api/v1{}", share.replace("/share/", "/shares/"));
    for (change, status) in [
        (r#"{"expires_at":"2020-01-01T00:00:00+01:00"}"#, 410),
        (r#"{"is_enabled":false}"#, 403),
    ] {
        let changed = stage.gateway.admin(Method::PATCH, &patch, change).await;
        assert_eq!(changed.status, 200, "{}", body(&changed));
        assert_eq!(page(&share).await, status);
    }
    let json_rather = [("accept", "application/json, text/html;q=0.5")];
    let answer = stage
        .gateway
        .send(Method::GET, &share, &json_rather, "")
        .await;
    assert!(header(&answer, "content-type").starts_with("application/json"));

    // An asset's original and its name can be taken away.
    let path = format!("/api/v1/assets/{film}");
    let changed = stage
        .gateway
        .admin(Method::PATCH, &path, r#"{"download_name":null}"#)
        .await;
    assert_eq!(body(&changed)["download_name"], Value::Null);
    let saved = stage.stream(&film, "?download").await;
    assert!(
        saved.ends_with("/Film%20%E2%80%93%20Caf%C3%A9.MOV"),
        "{saved}"
    );
    let changed = stage
        .gateway
        .admin(Method::PATCH, &path, r#"{"raw_key":null}"#)
        .await;
    assert_eq!(body(&changed)["raw_key"], Value::Null);

    // What lies there and does not play is not ready.
    stage.s3.put("bad/master.m3u8", "<html>");
    let bad = stage
        .add(json!({ "library": "media", "kind": "video", "name": "Bad", "prefix": "bad" }))
        .await;
    let refused = stage
        .gateway
        .admin(Method::GET, &format!("/assets/{bad}/stream"), "")
        .await;
    assert_eq!(refused.status, 409, "{}", body(&refused));
    assert_eq!(
        stage.gateway.json(&format!("/api/v1/assets/{bad}")).await["ready"],
        false
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_opens_playlist_segment_and_key_in_each_mode_and_nothing_forged_does() {
    for mode in ["redirect", "presign", "tunnel"] {
        let stage = Stage::new(mode).await;
        let film = stage.film().await;
        put_film(&stage.s3, "processed/film 2");
        let other = stage
            .add(json!({ "library": "media", "kind": "video", "prefix": "processed/film 2", "name": "Other" }))
            .await;
        let (id, url) = stage.mint(json!({ "asset": film })).await;
        let base = url.strip_suffix("master.m3u8").unwrap();
        let grant = url.split('/').nth(3).unwrap();
        let master = stage.is(&url, 200).await;
        assert_eq!(header(&master, "cache-control"), "private, no-store");
        let media = stage.is(&format!("{base}v%200/index.m3u8"), 200).await;
        let text = String::from_utf8(media.body.to_vec()).unwrap();
        assert_eq!(text.contains(BUCKET), mode == "presign", "{text}");
        assert!(text.contains("URI=\"k/1.key\""), "{text}");
        let segment = format!("{base}v%200/seg%2B1%25.ts");
        let served = stage
            .is(&segment, if mode == "tunnel" { 200 } else { 302 })
            .await;
        if mode == "tunnel" {
            assert_eq!(
                (header(&served, "content-type"), served.body.len()),
                ("video/MP2T", SEGMENT_BYTES)
            );
            let part = stage
                .gateway
                .send(Method::GET, &segment, &[("range", "bytes=5-8")], "")
                .await;
            assert_eq!(
                (part.status, header(&part, "content-range")),
                (206, "bytes 5-8/400000")
            );
            let beyond = stage
                .gateway
                .send(Method::GET, &segment, &[("range", "bytes=400000-")], "")
                .await;
            assert_eq!(
                (beyond.status, header(&beyond, "content-range")),
                (416, "bytes */400000")
            );
            let head = stage.gateway.send(Method::HEAD, &segment, &[], "").await;
            assert_eq!(
                (head.status, header(&head, "content-length")),
                (200, "400000")
            );
            stage.check_counted(SEGMENT_BYTES).await;
        }
        let key = format!("{base}v%200/k/1.key");
        assert_eq!(stage.is(&key, 200).await.body, [9; 16][..]);

        let paths = [
            "master.m3u8",
            "v%200/index.m3u8",
            "v%200/seg%2B1%25.ts",
            "v%200/k/1.key",
        ];
        let altered = |at: usize| {
            let mut text = grant.as_bytes().to_vec();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(text).unwrap()
        };
        let (_, foreign) = stage.mint(json!({ "asset": other })).await;
        let foreign = foreign.split('/').nth(3).unwrap().to_owned();
        for path in paths {
            for (bad, status) in [
                (grant[..grant.len() - 1].to_owned(), 401),
                (format!("{grant}A"), 401),
                (altered(4), 401),
                (altered(20), 401),
                (altered(grant.len() - 3), 401),
                ("x".to_owned(), 401),
                (foreign.clone(), 403),
            ] {
                stage.is(&format!("/vod/{film}/{bad}/{path}"), status).await;
            }
            stage.is(&format!("/vod/{other}/{grant}/{path}"), 403).await;
            stage
                .is(&format!("/download/{film}/{grant}/{path}"), 403)
                .await;
        }
        stage
            .admin(Method::DELETE, &format!("/api/v1/grants/{id}"), "", 204)
            .await;
        for path in paths {
            stage.is(&format!("{base}{path}"), 403).await;
        }
        stage.no_secrets(&[grant, &foreign]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_paths_lead_nowhere() {
    let stage = Stage::new("tunnel").await;
    stage.s3.put("processed/secret.ts", "secret");
    stage.s3.put("secret.ts", "secret");
    let film = stage.film().await;
    let (_, url) = stage.mint(json!({ "asset": film })).await;
    let base = url.strip_suffix("master.m3u8").unwrap();
    stage.s3.take_seen();
    let mut tried = 0;
    for start in ["", "v%200/", "./", "/", "a/", "%20/"] {
        for up in ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..;"] {
            for slash in ["/", "%2f", "%5c", "//", "%252f", "/./"] {
                for end in [
                    "secret.ts",
                    "processed/secret.ts",
                    "film%201/v%200/seg%2B1%25.ts",
                    "etc/passwd",
                ] {
                    let path = format!("{base}{start}{up}{slash}{up}{slash}{end}");
                    let mut connection = Connection::open(stage.gateway.port()).await;
                    let request =
                        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                    connection.send(request.as_bytes()).await;
                    let status = connection.status().await.unwrap();
                    assert!(status == 400 || status == 404, "{path}: {status}");
                    tried += 1;
                }
            }
        }
    }
    for host in [
        "http://evil.example/",
        "//evil.example/",
        "https:%2f%2fevil.example/",
        "%68ttp://evil.example/",
    ] {
        for end in 0..50 {
            let answer = stage.gateway.get(&format!("{base}{host}{end}.m3u8")).await;
            assert!(
                matches!(answer.status, 400 | 404),
                "{host}: {}",
                answer.status
            );
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
    // What was refused was refused here; what is merely absent was asked for below the prefix.
    for seen in stage.s3.take_seen() {
        assert!(
            seen.target.contains("/processed/film%201/") && seen.status == 404,
            "{seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_stops_a_transfer_within_a_second_and_outlives_a_restart() {
    let mut stage = Stage::new("tunnel").await;
    stage.s3.put("processed/film 1/long.ts", vec![7; 30 << 20]);
    let film = stage.film().await;
    let (id, url) = stage.mint(json!({ "asset": film })).await;
    let (_, kept) = stage.mint(json!({ "asset": film })).await;
    let base = url.strip_suffix("master.m3u8").unwrap().to_owned();
    stage.is(&kept, 200).await;
    let mut connection = Connection::with_buffer(stage.gateway.port(), 65_536).await;
    let request = format!("GET {base}long.ts HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.send(request.as_bytes()).await;
    while connection.read().len() < 1 << 20 {
        assert!(connection.read_some(65_536).await > 0, "it flows");
    }
    stage
        .admin(Method::DELETE, &format!("/api/v1/grants/{id}"), "", 204)
        .await;
    // What the sockets hold still comes; then it ends, long before the end.
    let began = std::time::Instant::now();
    while connection.read_some(1 << 20).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "it flows on");
    }
    assert!(
        connection.read().len() < 20 << 20,
        "{} bytes",
        connection.read().len()
    );
    stage.is(&url, 403).await;

    // Sessions that were saved go on, and what was revoked stays so.
    stage.gateway.signal("TERM");
    stage.gateway.ended(SOON).await;
    assert!(stage.gateway.start().await);
    stage.is(&kept, 200).await;
    stage.is(&url, 403).await;
    stage
        .admin(Method::POST, "/api/v1/assets/film/revoke", "", 204)
        .await;
    stage.is(&kept, 403).await;
    assert!(stage.gateway.start_again().await);
    stage.is(&kept, 403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_player_plays_on_and_a_forgotten_link_does_not() {
    let stage = Stage::with("tunnel", "ttl_s = 1\nmax_s = 4", "").await;
    let film = stage.film().await;
    let (_, used) = stage.mint(json!({ "asset": film })).await;
    let (_, forgotten) = stage.mint(json!({ "asset": film })).await;
    let (_, device) = stage
        .mint(json!({ "asset": film, "until_revoked": true }))
        .await;
    stage.is(&used, 200).await;
    let began = std::time::Instant::now();
    let passed = async |seconds: f32| {
        let wait = wait_until(Duration::from_secs(20), "time", async || {
            (began.elapsed().as_secs_f32() > seconds).then_some(())
        });
        wait.await.unwrap();
    };
    passed(3.0).await;
    stage.is(&used, 200).await;
    stage.is(&forgotten, 401).await;
    passed(6.0).await;
    stage.is(&used, 200).await;
    passed(12.0).await;
    stage.is(&used, 401).await;
    stage.is(&device, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_shows_what_it_should_to_whom_it_should() {
    let stage = Stage::new("tunnel").await;
    let film = stage.film().await;
    let password = "correct horse";
    let token = stage
        .share(&film, json!({ "title": "For you", "password": password }))
        .await;
    let open = stage
        .share(&film, json!({ "allow_download": true, "max_views": 2 }))
        .await;
    let show = format!("/share/{token}");
    let page = stage
        .gateway
        .send(Method::GET, &show, &[("accept", "text/html,*/*")], "")
        .await;
    assert!(page.status == 200 && header(&page, "content-type").starts_with("text/html"));
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");

    let locked = body(&stage.is(&show, 200).await);
    assert_eq!(
        (
            &locked["requires_password"],
            &locked["asset"],
            &locked["asset_id"]
        ),
        (&json!(true), &Value::Null, &Value::Null)
    );
    stage.detail(&format!("{show}?password=wrong"), 403).await;
    let enter = async |password: &str| {
        let json = [("content-type", "application/json")];
        stage
            .gateway
            .send(
                Method::POST,
                &show,
                &json,
                json!({ "password": password }).to_string(),
            )
            .await
    };
    assert_eq!(enter("wrong").await.status, 403);
    let opened = enter(password).await;
    assert_eq!(opened.status, 200);
    let opened = body(&opened);
    for field in [
        "asset_id",
        "title",
        "description",
        "permission",
        "allow_download",
        "requires_password",
        "visibility",
        "asset",
        "share_session",
    ] {
        assert!(!opened[field].is_null(), "{field}: {opened}");
    }
    let query = stage
        .is(&format!("{show}?password=correct%20horse"), 200)
        .await;
    assert_eq!(body(&query)["asset_id"], json!(film));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let form = stage
        .gateway
        .send(Method::POST, &show, &form, "password=correct+horse")
        .await;
    assert_eq!(form.status, 200);

    let session = opened["share_session"].as_str().unwrap();
    let play = format!("{show}/stream/{film}");
    stage.detail(&play, 403).await;
    stage.detail(&format!("{play}?share_session=x"), 403).await;
    let url = stage.url(&format!("{play}?share_session={session}")).await;
    stage.is(&url, 200).await;
    stage
        .detail(
            &format!("{play}?share_session={session}&download=true"),
            403,
        )
        .await;
    let raw = stage
        .add(json!({ "library": "media", "kind": "image", "name": "N", "raw_key": "raw/scan.tif" }))
        .await;
    stage
        .detail(&format!("{show}/stream/{raw}?share_session={session}"), 403)
        .await;
    let raw_share = stage.share(&raw, json!({})).await;
    stage
        .detail(&format!("/share/{raw_share}/stream/{raw}"), 403)
        .await;

    // A new password ends the sessions and what plays.
    let patch = format!("/api/v1/shares/{token}");
    let changed = stage
        .gateway
        .admin(Method::PATCH, &patch, r#"{"password":"another"}"#)
        .await;
    assert_eq!(changed.status, 200);
    stage.detail(&url, 403).await;
    stage
        .detail(&format!("{play}?share_session={session}"), 403)
        .await;
    assert_eq!(enter(password).await.status, 403);
    let opened = body(&enter("another").await);
    let session = opened["share_session"].as_str().unwrap();
    let url = stage.url(&format!("{play}?share_session={session}")).await;
    stage.is(&url, 200).await;
    stage
        .admin(Method::PATCH, &patch, r#"{"is_enabled":false}"#, 200)
        .await;
    stage.detail(&show, 403).await;
    stage.detail(&url, 403).await;
    stage
        .detail(&format!("{play}?share_session={session}"), 403)
        .await;
    stage
        .admin(
            Method::PATCH,
            &patch,
            r#"{"is_enabled":true,"password":null}"#,
            200,
        )
        .await;
    stage.is(&play, 200).await;
    let url = stage.url(&play).await;
    let past = json!({ "expires_at": (now_s() - 1) * 1000 }).to_string();
    stage.admin(Method::PATCH, &patch, &past, 200).await;
    stage.detail(&show, 410).await;
    stage.detail(&play, 410).await;
    stage.detail(&url, 403).await;
    stage.detail("/share/none", 404).await;

    // Views and downloads.
    let play = format!("/share/{open}/stream/{film}");
    let running = stage.url(&format!("{play}?download=true")).await;
    let saved = stage.is(&running, 200).await;
    assert_eq!(
        (saved.body.as_ref(), header(&saved, "content-disposition")),
        (
            &b"the original"[..],
            "attachment; filename=\"Caf_.MOV\"; filename*=UTF-8''Caf%C3%A9%2EMOV"
        )
    );
    stage.is(&play, 200).await;
    stage.is(&play, 200).await;
    stage.detail(&play, 410).await;
    let activity = stage
        .gateway
        .json(&format!("/api/v1/shares/{open}/activity"))
        .await;
    let actions: Vec<_> = activity["activity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["viewed", "viewed", "downloaded"]);
    assert_eq!(
        stage.gateway.json(&format!("/api/v1/shares/{open}")).await["views"],
        json!(2)
    );
    stage
        .admin(Method::DELETE, &format!("/api/v1/shares/{open}"), "", 204)
        .await;
    stage.detail(&format!("/share/{open}"), 404).await;
    stage.is(&running, 403).await;
    stage
        .admin(Method::DELETE, &format!("/api/v1/shares/{open}"), "", 404)
        .await;
    stage.no_secrets(&[session, "another"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_tries_a_minute_are_enough() {
    let stage = Stage::new("tunnel").await;
    let film = stage.film().await;
    let token = stage.share(&film, json!({ "password": "p" })).await;
    let mut limited = None;
    // Whoever tries no password may come as often as they like.
    for _ in 0..40 {
        stage.is(&format!("/share/{token}"), 200).await;
    }
    for n in 0..40 {
        let answer = stage.gateway.get(&format!("/share/none-{n}")).await;
        if answer.status == 429 {
            assert!(header(&answer, "retry-after").parse::<u64>().unwrap() >= 1);
            limited = Some(n);
            break;
        }
    }
    // One more may have grown while they were made.
    assert!(matches!(limited, Some(30..=36)), "{limited:?}");
    // Then no password is looked at, and whoever has a link goes on.
    stage
        .gateway
        .get(&format!("/share/{token}?password=p"))
        .await;
    stage
        .detail(&format!("/share/{token}?password=p"), 429)
        .await;
    stage.is(&format!("/share/{token}"), 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuers_token_is_exchanged_once() {
    let key = "another secret, of thirty-two bytes";
    let issuer = "[[grants.issuer]]\nkid = \"shop\"\nalg = \"HS256\"\nkey_file = \"shop\"\naudience = \"perennial\"\n";
    let s3 = S3::start().await;
    put_film(&s3, "processed/film 1");
    let toml = library(&s3, "tunnel", issuer);
    let files = [
        ("jwt", JWT_SECRET),
        ("id", ACCESS_KEY),
        ("secret", SECRET_KEY),
        ("shop", key),
    ];
    let stage = Stage {
        gateway: Gateway::serve_beside(&toml, &files).await,
        s3,
    };
    let film = stage.film().await;
    let claims = json!({ "aud": "perennial", "exp": now_s() + 60, "jti": "1", "asset": "film" });
    let head = json!({ "alg": "HS256", "kid": "shop" });
    let exchange = async |token: &str| {
        let bearer = format!("Bearer {token}");
        stage
            .gateway
            .send(
                Method::POST,
                "/api/v1/grants/exchange",
                &[("authorization", &bearer)],
                "",
            )
            .await
    };
    let asked = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
    ];
    let preflight = stage
        .gateway
        .send(Method::OPTIONS, "/api/v1/grants/exchange", &asked, "")
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
    assert!(header(&preflight, "access-control-allow-methods").contains("POST"));
    assert!(header(&preflight, "access-control-allow-headers").contains("authorization"));
    assert!(
        !preflight
            .headers
            .contains_key("access-control-allow-credentials")
    );
    let good = jwt(key, &head, &claims);
    let answer = exchange(&good).await;
    assert_eq!(answer.status, 201);
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let minted = body(&answer);
    assert!(minted["expires_at"].as_i64().unwrap() > now_s() * 1000);
    let url = minted["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("/vod/{film}/")));
    stage.is(url, 200).await;
    assert_eq!(exchange(&good).await.status, 409);
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        jwt(key, &head, &claims)
    };
    for (bad, status) in [
        (String::new(), 401),
        (
            jwt(key, &json!({ "alg": "none", "kid": "shop" }), &claims),
            401,
        ),
        (jwt(key, &json!({ "alg": "HS256" }), &claims), 401),
        (
            jwt(key, &json!({ "alg": "HS256", "kid": "else" }), &claims),
            401,
        ),
        (jwt("wrong", &head, &claims), 401),
        (with("exp", json!(now_s() - 5)), 401),
        (with("jti", Value::Null), 401),
        (with("aud", json!("else")), 403),
        (
            jwt(
                key,
                &head,
                &json!({ "aud": "perennial", "exp": now_s() + 60, "jti": "2", "asset": "nothing" }),
            ),
            404,
        ),
        (
            jwt(
                key,
                &head,
                &json!({ "aud": "perennial", "exp": now_s() + 60, "jti": "3", "channel": "nothing" }),
            ),
            404,
        ),
    ] {
        let answer = exchange(&bad).await;
        assert_eq!(answer.status, status, "{}", body(&answer));
    }
    // Who comes too early has not used the token up.
    let early = jwt(
        key,
        &head,
        &json!({ "aud": "perennial", "exp": now_s() + 60, "jti": "4", "asset": "later" }),
    );
    assert_eq!(exchange(&early).await.status, 404);
    stage.s3.put("pictures/poster.jpg", "a picture");
    let picture = json!({ "library": "media", "kind": "image", "name": "N", "slug": "later",
        "processed_key": "pictures/poster.jpg" });
    stage.add(picture).await;
    assert_eq!(exchange(&early).await.status, 201);
    assert_eq!(exchange(&early).await.status, 409);
    stage.no_secrets(&[&good, key]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_channels_want_grants_where_the_configuration_says_so() {
    let origin = Origin::start(Spec {
        clip: Clip::A,
        ..Spec::default()
    })
    .await
    .unwrap();
    let rest = format!(
        "[auth]\nviewers = \"grant\"\n{}{}",
        e2e::channel("news", &[&origin.url()]),
        e2e::channel("sport", &[&origin.url()])
    );
    let stage = Stage::with("tunnel", "", &rest).await;
    for path in [
        "/live/news/index.m3u8",
        "/live/news.ts",
        "/stream/news",
        "/channels.m3u",
        "/live/g/x/news/index.m3u8",
        "/live/g/x/channels.m3u",
    ] {
        stage.is(path, 401).await;
    }
    let (id, url) = stage.mint(json!({ "channel": "news" })).await;
    let (_, other) = stage.mint(json!({ "channel": "news" })).await;
    let playlist = stage.is(&url, 200).await;
    assert_eq!(
        playlist.body,
        stage.is(&other, 200).await.body,
        "the same bytes for every viewer"
    );
    let text = String::from_utf8(playlist.body.to_vec()).unwrap();
    let first = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let base = url.strip_suffix("index.m3u8").unwrap();
    stage.is(&format!("{base}{first}"), 200).await;
    stage.is(&url.replace("/news/", "/sport/"), 403).await;
    let viewers = stage.gateway.json("/api/v1/viewers").await;
    assert_eq!(
        viewers["viewers"].as_array().unwrap().len(),
        2,
        "each grant is a viewer"
    );

    let (_, list) = stage
        .mint(json!({ "channel": "*", "until_revoked": true }))
        .await;
    let list = String::from_utf8(stage.is(&list, 200).await.body.to_vec()).unwrap();
    let sport = list
        .lines()
        .find(|line| line.ends_with("/sport/index.m3u8"))
        .unwrap();
    let sport: url::Url = sport.parse().unwrap();
    stage.is(sport.path(), 200).await;

    // A stream that runs ends with its grant.
    let mut connection = Connection::open(stage.gateway.port()).await;
    let ts = url.replace("/news/index.m3u8", "/news.ts");
    connection
        .send(format!("GET {ts} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
        .await;
    assert!(connection.read_some(65_536).await > 0);
    stage
        .admin(Method::DELETE, &format!("/api/v1/grants/{id}"), "", 204)
        .await;
    stage.is(&url, 403).await;
    stage.is(&other, 200).await;
    let ended = wait_until(Duration::from_secs(10), "the stream's end", async || {
        (connection.read_some(1 << 20).await == 0 || connection.read().ends_with(b"0\r\n\r\n"))
            .then_some(())
    });
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_works_beside_the_gateway() {
    let stage = Stage::new("redirect").await;
    let run = |line: &[&str]| {
        let output = e2e::command(stage.gateway.folder(), line).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (
            output.status.code(),
            text,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said, errors) = run(&["asset", "scan", "media"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("4 assets added"), "{said}");
    let (_, again, _) = run(&["asset", "scan", "media", "--prefix", "processed/"]);
    assert!(again.contains("0 assets added, 1 known before"), "{again}");
    let (code, id, errors) = run(&[
        "asset",
        "add",
        "media",
        "pictures/poster.jpg",
        "--name",
        "x",
        "--kind",
        "image",
    ]);
    assert!(
        code == Some(1) && id.is_empty() && errors.contains("has this place already"),
        "{errors}"
    );
    let (_, list, _) = run(&["asset", "list", "film 1"]);
    let id = list.split('\t').next().unwrap().to_owned();
    assert!(list.ends_with("\tmedia\tvideo\tfilm 1\t-"), "{list}");

    let (code, link, errors) = run(&[
        "share",
        "create",
        &id,
        "--title",
        "T",
        "--expires-in-s",
        "60",
    ]);
    assert_eq!(code, Some(0), "{errors}");
    let shown = body(&stage.is(&link, 200).await);
    let url = stage.url(&format!("{link}/stream/{id}")).await;
    assert_eq!(shown["title"], "T");
    stage.is(&url, 200).await;
    assert!(
        run(&["share", "list", &id])
            .1
            .contains(link.trim_start_matches("/share/"))
    );
    let (code, path, errors) = run(&["grant", "mint", "--asset", &id]);
    assert_eq!(code, Some(0), "{errors}");
    stage.is(&path, 200).await;
    let grant = errors.trim().strip_prefix("grant ").unwrap().to_owned();

    assert_eq!(
        run(&["share", "revoke", link.trim_start_matches("/share/")]).0,
        Some(0)
    );
    assert_eq!(run(&["grant", "revoke", &grant]).0, Some(0));
    assert_eq!(run(&["grant", "rotate"]).0, Some(0));
    for ended in [&url, &path] {
        let gone = wait_until(Duration::from_secs(5), "the revocation", async || {
            (stage.gateway.get(ended).await.status == 403).then_some(())
        });
        gone.await.unwrap();
    }
    let (_, path, _) = run(&["grant", "mint", "--asset", &id]);
    let rotated = wait_until(Duration::from_secs(5), "the new key", async || {
        (stage.gateway.get(&path).await.status == 200).then_some(())
    });
    rotated.await.unwrap();
    stage.is("/live/g/x/news/index.m3u8", 401).await;

    let toml = library(&stage.s3, "redirect", "");
    let more = |text: &str| {
        stage.gateway.configure(&format!(
            "[server]\npublic_url = \"https://tv.example\"\n{toml}{text}"
        ));
    };
    more("");
    let (_, link, _) = run(&["share", "create", &id]);
    assert!(link.starts_with("https://tv.example/share/"), "{link}");
    assert_eq!(run(&["share", "revoke", &link]).0, Some(0));
    let (_, list, _) = run(&["asset", "list", "poster"]);
    let poster = list.split('\t').next().unwrap();
    let (code, links, errors) = run(&["grant", "mint", "--asset", poster, "--download"]);
    assert_eq!(code, Some(0), "{errors}");
    let links: Vec<_> = links.lines().collect();
    let [plays, saves] = links[..] else {
        panic!("{links:?}");
    };
    for (link, face, status) in [(plays, "/vod/", 302), (saves, "/download/", 200)] {
        let path = link.strip_prefix("https://tv.example").unwrap();
        assert!(path.starts_with(&format!("{face}{poster}/")), "{path}");
        stage.is(path, status).await;
    }
    let (code, link, errors) = run(&["grant", "mint", "--channel", "nope"]);
    assert!(link.starts_with("https://tv.example/live/g/"), "{link}");
    assert!(
        code == Some(0) && errors.contains("no channel \"nope\" yet"),
        "{errors}"
    );

    // The same state from wherever it is called.
    let file = stage.gateway.folder().join("perennial.toml");
    let elsewhere = tempfile::tempdir().unwrap();
    let list = ["asset", "list", "-c", file.to_str().unwrap()];
    let output = e2e::command(elsewhere.path(), &list).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&id));

    more(
        "[[library]]\nid = \"bent\"\nkind = \"s3\"\nbucket = \"no bucket\"\naccess_key_id_file = \"id\"\nsecret_access_key_file = \"secret\"\n\
        [[library]]\nid = \"absent\"\nkind = \"dir\"\npath = \"nowhere\"\n[[library]]\nid = \"file\"\nkind = \"dir\"\npath = \"jwt\"\n",
    );
    let (code, said, errors) = run(&["check"]);
    assert_eq!(code, Some(1), "{said}{errors}");
    for line in [
        "FAIL  library bent: ",
        "FAIL  library absent: ",
        "FAIL  library file: ",
        "is no directory",
        "ok    library media: can be read",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(errors.contains("shorter than 32 bytes"), "{errors}");
    more("");
    stage.s3.take_seen();
    let (code, said, errors) = run(&["check"]);
    assert_eq!(code, Some(0), "{said}{errors}");
    let mut seen = stage.s3.take_seen();
    seen.retain(|seen| !seen.target.contains("X-Amz-Signature"));
    let unsigned = seen
        .iter()
        .map(|seen| (&seen.method, seen.range.as_deref()));
    let unsigned: Vec<_> = unsigned.collect();
    assert_eq!(unsigned, [(&Method::GET, Some("bytes=0-0"))]);
    for line in [
        "private: an unsigned request gets 403",
        "a presigned GET works",
        "a presigned HEAD works",
        "a presigned Range works",
        "(CORS)",
        "its clock is 0 s",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    stage.s3.set_cors(None);
    let (code, said, _) = run(&["check"]);
    assert!(
        code == Some(1) && said.contains("FAIL  library media: browsers may not read it (CORS)"),
        "{said}"
    );
    stage.s3.set_fault(Some(Fault::Status(200)));
    assert!(run(&["check"]).1.contains("FAIL"));
}
