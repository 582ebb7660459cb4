//! Keys, secrets and exit codes: who may do what, what no log tells, how the process ends.

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use e2e::{Answer, Canned, Connection, Gateway, KEY, SOON, channel, command};
use http::Method;
use testkit::{Clip, Origin, Spec, free_port, wait_until};

/// The keys that a text shows.
fn keys(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("pk_") && word.len() > 60)
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder is read");
    let paths = entries.map(|entry| entry.expect("a folder is read").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

async fn status(gateway: &Gateway, key: &str) -> u16 {
    gateway
        .send(Method::GET, "/api/v1/channels", &[("x-api-key", key)], "")
        .await
        .status
}

async fn until_status(gateway: &Gateway, key: &str, expected: u16) {
    let came = async || (status(gateway, key).await == expected).then_some(());
    // A second is promised; a busy machine takes its time to ask.
    let waited = wait_until(Duration::from_secs(5), &format!("status {expected}"), came).await;
    waited.unwrap_or_else(|late| panic!("{late}"));
}

fn run(gateway: &Gateway, args: &[&str]) -> Output {
    command(gateway.folder(), args)
        .output()
        .expect("the program runs")
}

#[track_caller]
fn text(output: &Output, code: i32) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_key_is_shown_once_and_kept_as_a_hash() {
    let mut gateway = Gateway::bare().await;
    let log = gateway.log();
    let [key] = keys(&log)[..] else {
        panic!("one key: {log}")
    };
    assert_eq!(status(&gateway, key).await, 200);
    assert_eq!(status(&gateway, &key[..key.len() - 1]).await, 401);
    assert!(gateway.start_again().await);
    assert_eq!(keys(&gateway.log()), [key]);
    assert_eq!(status(&gateway, key).await, 200);
    let kept = files(&gateway.folder().join("perennial-data"));
    assert!(!kept.is_empty());
    for file in kept {
        let bytes = fs::read(&file).expect("a file is read");
        let secret = &key.as_bytes()[8..];
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret),
            "{}",
            file.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_and_revoked_beside_a_running_gateway() {
    let gateway = Gateway::bare().await;
    let made = run(&gateway, &["key", "create", "--label", "lounge"]);
    text(&made, 0);
    let key = String::from_utf8(made.stdout).expect("a key is text");
    let key = key.trim_end();
    assert_eq!(keys(key), [key]);
    until_status(&gateway, key, 200).await;

    let list = text(&run(&gateway, &["key", "list"]), 0);
    assert_eq!(keys(&list), [""; 0]);
    let line = list
        .lines()
        .find(|line| line.ends_with("\tlounge"))
        .expect("the key is listed");
    let [id, prefix, made_at, _] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("{line}")
    };
    assert!(
        key.starts_with(prefix) && made_at.starts_with("20"),
        "{line}"
    );
    text(&run(&gateway, &["key", "revoke", "nobody"]), 1);
    text(&run(&gateway, &["key", "revoke", id]), 0);
    until_status(&gateway, key, 401).await;
    assert!(!text(&run(&gateway, &["key", "list"]), 0).contains("lounge"));
    assert!(!gateway.log().contains(key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_says_by_its_exit_code_how_it_went() {
    let (good, bad) = (
        Origin::start(Spec::default()).await.unwrap(),
        free_port().unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let check = async |toml: &str, args: &[&str], code: i32, says: &str| {
        fs::write(
            folder.path().join("perennial.toml"),
            format!("version = 1\n{toml}"),
        )
        .unwrap();
        let mut child = command(folder.path(), args);
        // `output` would keep the origin in this process from answering.
        let output = tokio::task::spawn_blocking(move || child.output())
            .await
            .unwrap()
            .unwrap();
        let text = text(&output, code);
        assert!(text.contains(says), "{says:?} in {text}");
    };
    let dead: url::Url = format!("http://127.0.0.1:{bad}/x.m3u8").parse().unwrap();
    let open = |rest: &str| format!("[server]\nlisten = \"0.0.0.0:{bad}\"\n{rest}");
    let taken = format!("[server]\nlisten = \"{}\"\n", good.url().authority());
    check(
        &channel("a", &[&good.url()]),
        &["check"],
        0,
        "ok    a source 0",
    )
    .await;
    check(
        &channel("a", &[&good.url(), &dead]),
        &["check"],
        1,
        "FAIL  a source 1",
    )
    .await;
    check(
        "[live]\nidle_stop = 1\n",
        &["check"],
        78,
        "did you mean \"idle_stop_s\"?",
    )
    .await;
    check(
        "[live]\nidle_stop = 1\n",
        &["serve"],
        78,
        "perennial.toml:3:1",
    )
    .await;
    check(&open(""), &["serve"], 78, "allow_open = true").await;
    check(&open(""), &[], 78, "allow_open = true").await;
    check(&taken, &["serve"], 1, "cannot listen on 127.0.0.1:").await;
    check(&taken, &["serve"], 1, "hint: another program listens there").await;
    check("", &["serve", "-c", "none.toml"], 78, "none.toml").await;
    check("", &["serf"], 2, "serve").await;
    check("", &["live", "-u", "ftp://a/b", "-c", "x"], 2, "http").await;
    check(
        "",
        &["live", "-u", "http://a/b", "-c", "G!"],
        2,
        "--channel",
    )
    .await;
    check("", &["live", "-c", "x"], 2, "--url").await;
    check(
        "",
        &["--help"],
        0,
        "Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration",
    )
    .await;
    check("", &["--version"], 0, "perennial ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_not_share_a_folder() {
    let gateway = Gateway::bare().await;
    let mut second = command(gateway.folder(), &["serve"]);
    second.env("PERENNIAL_SERVER__LISTEN", "127.0.0.1:0");
    let output = tokio::task::spawn_blocking(move || second.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        text(&output, 1).contains(&gateway.pid().to_string()),
        "it names the other process"
    );
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

/// None of these words may be read anywhere but where the request itself had them.
const SECRETS: [&str; 6] = [
    "urltoken",
    "urlpassword",
    "headersecret",
    "segmentsignature",
    "switchtoken",
    "wrongkey",
];

#[track_caller]
fn check_silent(place: &str, text: &str) {
    let told = SECRETS.into_iter().find(|secret| text.contains(secret));
    assert_eq!(told, None, "{place}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_told() {
    let began = Instant::now();
    let origin = Canned::start(move |path| match path.split('?').next() {
        Some("/index.m3u8") => Answer::live(began, |n| format!("{n}.ts?sig=segmentsignature")),
        Some("/broken.m3u8") => {
            Answer::live(began, |n| format!("broken/{n}.ts?sig=segmentsignature"))
        }
        Some(name) => match name.trim_start_matches('/').trim_end_matches(".ts").parse() {
            Ok(n) => Answer::ts(Clip::A.stream(n, 1)),
            Err(_) => Answer::not_found(),
        },
        None => Answer::not_found(),
    })
    .await;
    let secret = |path: &str| {
        let mut url = origin.url(&format!("{path}?token=urltoken"));
        url.set_username("user").unwrap();
        url.set_password(Some("urlpassword")).unwrap();
        url
    };
    let headers = "headers = { X-Secret = \"headersecret\" }\n";
    let config = channel("news", &[&secret("/index.m3u8")])
        + headers
        + &channel("broken", &[&secret("/broken.m3u8")])
        + headers
        + &channel("missing", &[&secret("/missing.m3u8")]);
    let gateway = Gateway::serve(&format!("[live]\nstart_timeout_s = 2\n{config}")).await;
    let mut events = Connection::open(gateway.port()).await;
    let ask = format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\n\r\n");
    assert!(events.send(ask.as_bytes()).await);
    events
        .read_until(SOON, "\r\n\r\n")
        .await
        .expect("an answer");

    check_silent("playlist", &gateway.playlist("/live/news/index.m3u8").await);
    for id in ["broken", "missing"] {
        let answer = gateway.get(&format!("/live/{id}/index.m3u8")).await;
        assert_eq!(answer.status, 503);
        check_silent(id, &String::from_utf8_lossy(&answer.body));
        let named = |info: &serde_json::Value| {
            info["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty())
        };
        gateway.until(SOON, id, "an error", named).await;
    }
    let body = format!(
        "{{\"url\":\"{}\"}}",
        origin.url("/gone.m3u8?token=switchtoken")
    );
    let answer = gateway
        .admin(Method::POST, "/api/v1/channels/news/switch", &body)
        .await;
    check_silent("switch", &String::from_utf8_lossy(&answer.body));
    events
        .read_until(SOON, "switch_failed")
        .await
        .expect("the switch fails");
    assert_eq!(status(&gateway, "wrongkey").await, 401);

    let asked = origin.asked().join("\n");
    for sent in [
        "x-secret: headersecret",
        "token=urltoken",
        // user:urlpassword
        "authorization: Basic dXNlcjp1cmxwYXNzd29yZA==",
        "user-agent: VLC/3.0.20 LibVLC/3.0.20",
    ] {
        assert!(
            asked.to_lowercase().contains(&sent.to_lowercase()),
            "{sent}: {asked}"
        );
    }
    check_silent("events", &String::from_utf8_lossy(events.read()));
    for path in ["/api/v1/channels", "/api/v1/viewers"] {
        check_silent(path, &gateway.json(path).await.to_string());
    }
    for path in ["/metrics", "/channels.m3u"] {
        check_silent(
            path,
            &String::from_utf8_lossy(&gateway.get(path).await.body),
        );
    }
    let printed = run(&gateway, &["config", "print"]);
    check_silent("config print", &text(&printed, 0));
    check_silent("log", &gateway.log());
    for file in files(&gateway.folder().join("perennial-data")) {
        let bytes = fs::read(&file).expect("a file is read");
        check_silent(
            &file.display().to_string(),
            &String::from_utf8_lossy(&bytes),
        );
    }
}
