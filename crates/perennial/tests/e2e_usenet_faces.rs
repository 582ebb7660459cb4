//! The faces that other systems know: SABnzbd's API, WebDAV, Stremio's add-on, files in a library; each with
//! the requests that those systems send, and with their own programs where there are some.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(
    clippy::print_stderr,
    reason = "says what was skipped, and how long it took"
)]

mod e2e;
mod posts;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::{Answer, Canned, Gateway, KEY, SOON, header};
use http::Method;
use posts::{Stage, digest, film, hex, json_of, multipart};
use serde_json::{Value, json};
use testkit::http::Fetched;
use testkit::nntp::{Fault, Post, Proxy, Server, rar5};
use testkit::wait_until;
use url::Url;

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("perennial:{KEY}")))
}

fn download_key() -> String {
    hex(&digest(KEY.as_bytes()))
}

async fn sab(gateway: &Gateway, query: &str) -> Value {
    let path = format!("/sabnzbd/api?output=json&apikey={KEY}&{query}");
    let answer = gateway.get(&path).await;
    assert_eq!(answer.status, 200, "{query}");
    json_of(&answer)
}

async fn sab_add(gateway: &Gateway, query: &str, name: &str, post: &Post) -> Value {
    let (kind, body) = multipart(&[], Some((name, post.nzb().as_bytes())));
    let path = format!("/sabnzbd/api?mode=addfile&output=json&apikey={KEY}&{query}");
    let headers = [("content-type", &*kind)];
    json_of(&gateway.send(Method::POST, &path, &headers, body).await)
}

/// Waits until the history has a slot for this id, and gives it.
async fn past(gateway: &Gateway, id: &str) -> Value {
    let waited = wait_until(SOON, "the history", async || {
        let answer = sab(gateway, &format!("mode=history&nzo_ids={id}")).await;
        answer["history"]["slots"].get(0).cloned()
    });
    waited.await.unwrap()
}

async fn dav(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)]) -> Fetched {
    let basic = basic();
    let headers: Vec<_> = headers
        .iter()
        .copied()
        .chain([("authorization", &*basic)])
        .collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    gateway.send(method, path, &headers, "").await
}

fn hrefs(answer: &Fetched) -> Vec<String> {
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let parts = text.split("<D:href>").skip(1);
    parts
        .map(|part| part.split("</D:href>").next().unwrap().to_owned())
        .collect()
}

/// What Sonarr and Radarr ask, in the order in which they do.
#[tokio::test]
async fn sonarr_tests_the_client_adds_a_file_follows_it_and_takes_it_away() {
    let film = film(400_000, 1);
    let post = Post::new("sonarr", &[("Show.S01E01.1080p.mkv", &film)], 100_000);
    let dead = Post::new("dead", &[("gone.mkv", &film)], 100_000);
    let library = "[usenet.library]\ndir = \"library\"\nmode = \"strm\"\n";
    let stage = Stage::with(&[&post], library).await;
    let gateway = &stage.gateway;
    let dir = gateway.folder().join("library");

    assert_eq!(
        sab(gateway, "mode=version").await,
        json!({ "version": "4.5.0" })
    );
    let config = sab(gateway, "mode=get_config").await;
    let categories = config["config"]["categories"].as_array().unwrap();
    let tv = categories.iter().find(|category| category["name"] == "tv");
    assert_eq!(tv.unwrap()["dir"], "tv");
    let complete = sab(gateway, "mode=fullstatus&skip_dashboard=1").await;
    assert_eq!(
        complete["status"]["completedir"],
        config["config"]["misc"]["complete_dir"]
    );
    assert_eq!(sab(gateway, "mode=get_cats").await["categories"][0], "*");

    let query = "cat=tv&priority=-100&pp=3";
    let added = sab_add(gateway, query, "Show.S01E01.1080p.nzb", &post).await;
    assert_eq!(added["status"], true, "{added}");
    let id = added["nzo_ids"][0].as_str().unwrap();
    let slot = past(gateway, id).await;
    assert_eq!(
        [
            &slot["status"],
            &slot["category"],
            &slot["name"],
            &slot["fail_message"]
        ],
        ["Completed", "tv", "Show.S01E01.1080p", ""]
    );
    let storage = slot["storage"].as_str().unwrap();
    assert!(
        Path::new(storage).ends_with("library/tv/Show.S01E01.1080p"),
        "{storage}"
    );
    let strm = dir.join("tv/Show.S01E01.1080p/Show.S01E01.1080p.strm");
    let url = fs::read_to_string(&strm).unwrap();
    stage.plays(&stage.local(url.trim()), &film, 3).await;
    assert_eq!(
        sab(gateway, "mode=queue&category=tv").await["queue"]["slots"],
        json!([])
    );
    for (query, count) in [
        ("category=tv", 1),
        ("category=movies", 0),
        ("nzo_ids=none", 0),
    ] {
        let answer = sab(gateway, &format!("mode=history&start=0&limit=60&{query}")).await;
        let slots = answer["history"]["slots"].as_array().unwrap();
        assert_eq!(slots.len(), count, "{query}");
    }

    // Sonarr moves the file and removes the rest. The link that it has must go on.
    let taken = dir.join("moved.strm");
    fs::rename(&strm, &taken).unwrap();
    let delete = format!("mode=history&name=delete&del_files=1&archive=0&value={id}");
    assert_eq!(sab(gateway, &delete).await["status"], true);
    assert_eq!(
        sab(gateway, "mode=history&category=tv").await["history"]["slots"],
        json!([])
    );
    let url = fs::read_to_string(&taken).unwrap();
    stage.is(&stage.local(url.trim()), 200).await;

    // The same post for another program, which looks under its own category.
    let again = sab_add(gateway, "cat=movies", "Other.Name.nzb", &post).await;
    assert_eq!(again["nzo_ids"][0], id);
    let slot = past(gateway, id).await;
    assert_eq!(
        [&slot["status"], &slot["category"]],
        ["Completed", "movies"]
    );
    assert!(Path::new(slot["storage"].as_str().unwrap()).exists());
    stage.is(&stage.local(url.trim()), 200).await;

    let failed = sab_add(gateway, "cat=tv", "Dead.nzb", &dead).await;
    let id = failed["nzo_ids"][0].as_str().unwrap();
    let slot = past(gateway, id).await;
    assert_eq!(
        [&slot["status"], &slot["storage"]],
        [&json!("Failed"), &Value::Null]
    );
    assert!(
        slot["fail_message"]
            .as_str()
            .unwrap()
            .starts_with("dead_post")
    );
    let delete = format!("mode=history&name=delete&del_files=1&value={id}");
    assert_eq!(sab(gateway, &delete).await["status"], true);
    assert_eq!(
        gateway.json("/api/v1/mounts").await["mounts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn sabnzbds_errors_have_its_shape() {
    let stage = Stage::new(&[]).await;
    let gateway = &stage.gateway;
    for (path, error) in [
        ("/sabnzbd/api?mode=queue", "API Key Required"),
        ("/api?mode=queue&apikey=wrong", "API Key Incorrect"),
        (
            "/sabnzbd/api?mode=version&apikey=wrong",
            "API Key Incorrect",
        ),
        (
            &*format!("/api?mode=queue&apikey={}", download_key()),
            "API Key Incorrect",
        ),
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(json_of(&answer), json!({ "status": false, "error": error }));
    }
    assert_eq!(gateway.get("/api?mode=version").await.status, 200);
    for query in [
        "mode=nonsense",
        "mode=addurl",
        "mode=addfile",
        "mode=addurl&name=ftp%3A%2F%2Fx",
    ] {
        let answer = sab(gateway, query).await;
        assert_eq!(answer["status"], false, "{query} {answer}");
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|error| !error.is_empty())
        );
    }
    for query in ["mode=pause", "mode=resume", "mode=switch&value=a&value2=0"] {
        assert_eq!(
            sab(gateway, query).await,
            json!({ "status": true }),
            "{query}"
        );
    }
}

/// AIOStreams' other way: SABnzbd's `addurl`, the history, a listing, then the file by WebDAV; all below one
/// base URL, as with nzbdav.
#[tokio::test]
async fn aiostreams_adds_a_url_waits_lists_and_plays_by_webdav() {
    let film = film(600_000, 2);
    let volumes = rar5::volumes(&[("Film.2024.mkv", &film)], 200_000);
    let files = [
        ("f.part1.rar", &*volumes[0]),
        ("f.part2.rar", &volumes[1]),
        ("f.part3.rar", &volumes[2]),
    ];
    let post = Post::new("aio-dav", &files, 50_000);
    let nzb = post.nzb();
    let indexer = Canned::start(move |_| Answer::new("application/x-nzb", nzb.clone())).await;
    let stage = Stage::with(&[&post], "nzb_url_allow = [\"127.0.0.0/8\"]\n").await;
    let gateway = &stage.gateway;
    let name = posts::form(&[
        ("mode", "addurl"),
        ("apikey", KEY),
        ("name", indexer.url("/get?id=1").as_str()),
        ("cat", "Movies"),
        ("nzbname", "Film.2024 (1)"),
        ("output", "json"),
    ]);
    let key = [("x-api-key", KEY)];
    let path = format!("/webdav/api?{name}");
    let added = json_of(&gateway.send(Method::GET, &path, &key, "").await);
    let id = added["nzo_ids"][0].as_str().unwrap();
    let slot = past(gateway, id).await;
    assert_eq!(
        [&slot["status"], &slot["category"]],
        ["Completed", "Movies"]
    );
    assert_eq!(
        (&slot["name"], &slot["nzo_id"]),
        (&json!("Film.2024 (1)"), &json!(id))
    );
    assert_eq!(slot["storage"], Value::Null);

    for root in ["content", "complete"] {
        let folder = format!("/webdav/{root}/Movies/Film.2024%20(1)");
        let listed = dav(gateway, "PROPFIND", &folder, &[("depth", "infinity")]).await;
        assert_eq!(listed.status, 207);
        // The prefix that was asked for stays.
        let found = hrefs(&listed);
        assert_eq!(
            found,
            [
                format!("/webdav/{root}/Movies/Film.2024%20%281%29/"),
                format!("/webdav/{root}/Movies/Film.2024%20%281%29/Film.2024.mkv"),
            ]
        );
        let basic = basic();
        stage
            .plays_with(&found[1], &[("authorization", &basic)], &film, 1000)
            .await;
    }
}

#[tokio::test]
async fn webdav_lists_serves_moves_and_deletes() {
    let (one, two) = (film(250_000, 3), film(150_000, 4));
    let post = Post::new(
        "dav",
        &[("A <b> & ü.mkv", &one), ("b.mkv", &two), ("c.srt", b"1\n")],
        50_000,
    );
    let stage = Stage::new(&[&post]).await;
    let gateway = &stage.gateway;
    let unknown = gateway
        .send(
            Method::from_bytes(b"PROPFIND").unwrap(),
            "/webdav/",
            &[],
            "",
        )
        .await;
    assert_eq!(
        (unknown.status, header(&unknown, "www-authenticate")),
        (401, "Basic realm=\"Perennial\", charset=\"UTF-8\"")
    );
    let options = gateway.send(Method::OPTIONS, "/webdav/", &[], "").await;
    assert_eq!((options.status, header(&options, "dav")), (200, "1"));

    let put = "/webdav/nzbs/tv/My%20Show.nzb";
    let basic = basic();
    let key = [("authorization", &*basic)];
    let sent = gateway.send(Method::PUT, put, &key, post.nzb()).await;
    assert_eq!(sent.status, 201, "{}", String::from_utf8_lossy(&sent.body));
    let there = dav(gateway, "PROPFIND", put, &[("depth", "0")]).await;
    let text = String::from_utf8_lossy(&there.body).into_owned();
    let length = format!(
        "<D:getcontentlength>{}</D:getcontentlength>",
        post.nzb().len()
    );
    assert!(there.status == 207 && text.contains(&length), "{text}");
    for (path, body) in [
        ("/webdav/nzbs/x.nzb", "no nzb"),
        ("/webdav/nzbs/x.txt", "x"),
        ("/webdav/content/x.nzb", "x"),
    ] {
        let refused = gateway.send(Method::PUT, path, &key, body).await;
        assert!(
            matches!(refused.status, 400 | 403),
            "{path}: {}",
            refused.status
        );
    }
    let root = "/webdav/content/tv/My%20Show";
    let listed = wait_until(SOON, "the mount", async || {
        let listed = dav(gateway, "PROPFIND", root, &[("depth", "1")]).await;
        (listed.status == 207).then_some(listed)
    });
    let listed = listed.await.unwrap();
    assert_eq!(
        hrefs(&listed),
        [
            format!("{root}/"),
            format!("{root}/A%20%3Cb%3E%20%26%20%C3%BC.mkv"),
            format!("{root}/b.mkv"),
            format!("{root}/c.srt"),
        ]
    );
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(
        text.contains("<D:displayname>A &lt;b&gt; &amp; ü.mkv</D:displayname>"),
        "{text}"
    );
    stage.plays_with(&hrefs(&listed)[1], &key, &one, 10).await;
    let head = gateway
        .send(Method::HEAD, &format!("{root}/b.mkv"), &key, "")
        .await;
    let etag = header(&head, "etag").replace('"', "&quot;");
    assert!(text.contains(&etag), "{etag} in {text}");

    // Some properties by name, one of them foreign.
    let body = "<propfind xmlns=\"DAV:\"><prop><getcontentlength/><quota xmlns=\"urn:q\"/></prop></propfind>";
    let headers = [("authorization", &*basic), ("depth", "0")];
    let method = Method::from_bytes(b"PROPFIND").unwrap();
    let named = gateway
        .send(method, &format!("{root}/b.mkv"), &headers, body)
        .await;
    let text = String::from_utf8_lossy(&named.body).into_owned();
    assert!(
        text.contains("<D:getcontentlength>150000</D:getcontentlength>")
            && text.contains("<quota xmlns=\"urn:q\"/>"),
        "{text}"
    );

    let everything = dav(gateway, "PROPFIND", "/webdav/", &[("depth", "infinity")]).await;
    assert!(hrefs(&everything).contains(&"/webdav/.ids/".to_owned()));
    assert_eq!(
        hrefs(&everything)
            .iter()
            .filter(|href| href.ends_with("b.mkv"))
            .count(),
        1
    );
    for (method, path, status) in [
        ("DELETE", format!("{root}/b.mkv"), 403),
        ("DELETE", "/webdav/content/tv".to_owned(), 403),
        ("MKCOL", "/webdav/content/new".to_owned(), 403),
        ("MKCOL", root.to_owned(), 405),
        ("COPY", root.to_owned(), 403),
        ("LOCK", root.to_owned(), 405),
        ("PROPFIND", "/webdav/content/none".to_owned(), 404),
    ] {
        assert_eq!(
            dav(gateway, method, &path, &[]).await.status,
            status,
            "{method} {path}"
        );
    }
    let id = gateway.json("/api/v1/mounts").await["mounts"][0]["id"].to_string();
    let by_id = format!("/webdav/.ids/{id}/b.mkv");
    let to = "http://elsewhere.example/webdav/content/films/Moved";
    assert_eq!(
        dav(gateway, "MOVE", root, &[("destination", to)])
            .await
            .status,
        201
    );
    assert_eq!(
        dav(gateway, "PROPFIND", root, &[("depth", "0")])
            .await
            .status,
        404
    );
    for path in ["/webdav/content/films/Moved/b.mkv", &by_id] {
        assert_eq!(dav(gateway, "GET", path, &[]).await.body, two, "{path}");
    }
    let moved = "/webdav/content/films/Moved";
    assert_eq!(dav(gateway, "DELETE", moved, &[]).await.status, 204);
    assert_eq!(dav(gateway, "GET", &by_id, &[]).await.status, 404);
}

#[tokio::test]
async fn ten_thousand_files_are_listed_at_once() {
    const FILES: usize = 10_000;
    let names: Vec<_> = (0..FILES)
        .map(|n| format!("scans/{:02}/page {n:05}.jpg", n % 100))
        .collect();
    let film = film(100_000, 5);
    let mut inside: Vec<(&str, &[u8])> = vec![("film.mkv", &film)];
    inside.extend(names.iter().map(|name| (name.as_str(), &b"x"[..])));
    let volumes = rar5::volumes(&inside, 4 << 20);
    let post = Post::new("many", &[("many.rar", &volumes[0])], 200_000);
    let stage = Stage::new(&[&post]).await;
    stage.submit(&post, "many.nzb", &[]).await;
    let began = Instant::now();
    let listed = dav(
        &stage.gateway,
        "PROPFIND",
        "/webdav/content/",
        &[("depth", "infinity")],
    )
    .await;
    let took = began.elapsed();
    assert_eq!(listed.status, 207);
    let count = hrefs(&listed).len();
    assert!(count > FILES, "{count} entries");
    // Told, not asserted: how long it takes is the machine's business as well.
    eprintln!("{count} entries in {took:?}");
}

/// A program of Debian's, or a line that says that it is not here.
fn rclone(gateway: &Gateway, args: &[&str]) -> Option<std::process::Output> {
    let pass = Command::new("rclone").args(["obscure", KEY]).output();
    let Ok(pass) = pass else {
        eprintln!("skipped: rclone is not installed; scripts/install.sh test brings it");
        return None;
    };
    let pass = String::from_utf8(pass.stdout).unwrap();
    let run = Command::new("rclone")
        .args(args)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CONFIG_DAV_TYPE", "webdav")
        .env("RCLONE_CONFIG_DAV_URL", gateway.url("/webdav/").as_str())
        .env("RCLONE_CONFIG_DAV_VENDOR", "other")
        .env("RCLONE_CONFIG_DAV_USER", "perennial")
        .env("RCLONE_CONFIG_DAV_PASS", pass.trim())
        .output();
    Some(run.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_checks_copies_and_removes() {
    let (one, two) = (film(3_000_000, 6), film(700_000, 7));
    let volumes = rar5::volumes(
        &[("inner/film.mkv", &one), ("inner/Extra – ü.mkv", &two)],
        900_000,
    );
    let post = Post::volumes("rclone", &volumes, 100_000);
    let stage = Stage::new(&[&post]).await;
    let gateway = &stage.gateway;
    let originals = tempfile::tempdir().unwrap();
    let nzbs = originals.path().join("nzbs");
    fs::create_dir(&nzbs).unwrap();
    fs::write(nzbs.join("The Film.nzb"), post.nzb()).unwrap();
    let Some(copied) = rclone(gateway, &["copy", nzbs.to_str().unwrap(), "dav:nzbs/films"]) else {
        return;
    };
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    let mount = wait_until(SOON, "the mount", async || {
        let mounts = gateway.json("/api/v1/mounts").await;
        let mount = mounts["mounts"].get(0)?.clone();
        (mount["state"] == "completed").then_some(mount)
    });
    let mount = mount.await.unwrap();
    let local = originals.path().join("mount");
    for (file, bytes) in mount["files"].as_array().unwrap().iter().zip([&one, &two]) {
        let path = local.join(file["path"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let checked = rclone(
        gateway,
        &[
            "check",
            "--download",
            local.to_str().unwrap(),
            "dav:content/films/The Film",
        ],
    );
    let checked = checked.unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        checked.status.success() && said.contains("0 differences found"),
        "{said}"
    );
    assert!(said.contains("2 matching files"), "{said}");
    let removed = rclone(gateway, &["purge", "dav:content/films/The Film"]).unwrap();
    assert!(
        removed.status.success(),
        "{}",
        String::from_utf8_lossy(&removed.stderr)
    );
    assert_eq!(gateway.json("/api/v1/mounts").await["mounts"], json!([]));
}

/// The whole chain of a media server: a mount of `/webdav/`, a link in the library that leads into it, and the
/// film's bytes behind that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_the_library_plays_through_a_mount_of_rclones() {
    if !Path::new("/dev/fuse").exists() || Command::new("fusermount3").arg("-V").output().is_err() {
        eprintln!("skipped: there is no FUSE here");
        return;
    }
    let film = film(3_000_000, 13);
    let post = Post::new("mounted", &[("Film.mkv", &film)], 100_000);
    let mounted = Mounted(tempfile::tempdir().unwrap());
    let dir = mounted.0.path();
    let library = format!(
        "[usenet.library]\ndir = \"library\"\nmode = \"symlink\"\nmount_dir = \"{}\"\n",
        dir.display()
    );
    let stage = Stage::with(&[&post], &library).await;
    let added = sab_add(&stage.gateway, "cat=movies", "Film.nzb", &post).await;
    let slot = past(&stage.gateway, added["nzo_ids"][0].as_str().unwrap()).await;
    let link = Path::new(slot["storage"].as_str().unwrap()).join("Film.mkv");
    let mount = [
        "mount",
        "dav:",
        dir.to_str().unwrap(),
        "--read-only",
        "--daemon",
    ];
    let Some(mounting) = rclone(&stage.gateway, &mount) else {
        return;
    };
    let said = String::from_utf8_lossy(&mounting.stderr).into_owned();
    if said.contains("not permitted") {
        eprintln!("skipped: this machine lets nobody mount");
        return;
    }
    assert!(mounting.status.success(), "{said}");
    let read = tokio::task::spawn_blocking(move || fs::read(link));
    let read = tokio::time::timeout(SOON, read).await.unwrap().unwrap();
    assert!(read.unwrap() == film, "the link's bytes are the film's");
}

/// A folder that something is mounted on.
struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        // It may not have come to a mount.
        let _ = Command::new("fusermount3")
            .args(["-uz"])
            .arg(self.0.path())
            .output();
    }
}

/// The add-on over a made-up indexer and a made-up Cinemeta.
#[tokio::test]
async fn stremio_lists_what_is_mounted_and_what_indexers_have_and_plays_it() {
    let (one, two) = (film(300_000, 8), film(400_000, 9));
    let episodes = Post::new(
        "eps",
        &[
            ("Severance.S01E01.mkv", &one),
            ("Severance.S01E02.mkv", &two),
        ],
        50_000,
    );
    let movie = Post::new("movie", &[("x.mkv", &two)], 50_000);
    let dead = Post::new("gone", &[("x.mkv", &one)], 50_000);
    let nzbs = [movie.nzb(), dead.nzb()];
    let own = Arc::new(OnceLock::<Url>::new());
    let known = own.clone();
    let upstream = Canned::start(move |path| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_search = ["imdbid=0078748", "t=movie", "apikey=indexers-secret"]
            .iter()
            .all(|part| query.contains(part));
        let item = |name: &str, path: &str| {
            let url = known.get().unwrap().join(path).unwrap();
            format!(
                "<item><title>{name}</title><link>{url}?apikey=indexers-secret&amp;x=1</link></item>"
            )
        };
        match path {
            "/meta/series/tt11280740.json" => {
                Answer::new("application/json", r#"{"meta":{"name":"Severance","releaseInfo":"2022-"}}"#)
            }
            "/meta/movie/tt0078748.json" => {
                Answer::new("application/json", r#"{"meta":{"name":"Alien","releaseInfo":"1979"}}"#)
            }
            "/api" => {
                let both = item("Alien.1979.1080p", "/nzb/0") + &item("Alien.1979.Dead", "/nzb/1");
                let items = if is_search { both } else { String::new() };
                let feed = format!("<rss><channel>{items}</channel></rss>");
                Answer::new("application/rss+xml", feed)
            }
            "/nzb/0" => Answer::new("application/x-nzb", nzbs[0].clone()),
            "/nzb/1" => Answer::new("application/x-nzb", nzbs[1].clone()),
            _ => Answer::not_found(),
        }
    })
    .await;
    own.set(upstream.url("")).unwrap();
    let usenet = format!(
        "cinemeta_url = \"{}\"\n[[usenet.newznab]]\nname = \"made-up\"\nurl = \"{}\"\napi_key_file = \"indexer\"\n",
        upstream.url(""),
        upstream.url("/api")
    );
    let files = [("indexer", "indexers-secret")];
    let stage = Stage::beside(&[&episodes, &movie], &usenet, &files).await;
    let gateway = &stage.gateway;
    stage
        .submit(&episodes, "Severance.S01.1080p.nzb", &[])
        .await;
    let addon = format!("/stremio/{}", download_key());
    let manifest = json_of(&stage.is(&format!("{addon}/manifest.json"), 200).await);
    assert_eq!(manifest["resources"], json!(["stream"]));
    for wrong in [
        "/stremio/wrong/manifest.json".to_owned(),
        format!("/stremio/{KEY}/stream/movie/tt1.json"),
    ] {
        assert_eq!(gateway.get(&wrong).await.status, 401, "{wrong}");
    }
    let ask = async |path: &str| {
        let answer = stage.is(&format!("{addon}/stream/{path}.json"), 200).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        json_of(&answer)["streams"].as_array().unwrap().clone()
    };
    let play = async |stream: &Value| {
        let path = stage.path_of(stream);
        gateway.get(&path).await
    };
    let episode = ask("series/tt11280740:1:2").await;
    assert_eq!(episode.len(), 1, "{episode:?}");
    assert_eq!(
        episode[0]["behaviorHints"]["filename"],
        "Severance.S01E02.mkv"
    );
    let led = play(&episode[0]).await;
    assert_eq!(led.status, 302);
    stage
        .plays(&stage.local(header(&led, "location")), &two, 3)
        .await;
    for nothing in [
        "series/tt11280740:2:1",
        "movie/tt9999999",
        "movie/nonsense",
        "channel/tt1",
        "series/tt11280740",
    ] {
        assert_eq!(ask(nothing).await, Vec::<Value>::new(), "{nothing}");
    }

    let found = ask("movie/tt0078748").await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(!format!("{found:?}").contains("indexers-secret"));
    let led = play(&found[0]).await;
    assert_eq!(led.status, 302, "{}", String::from_utf8_lossy(&led.body));
    stage
        .plays(&stage.local(header(&led, "location")), &two, 3)
        .await;
    let refused = play(&found[1]).await;
    assert_eq!(
        refused.status,
        503,
        "{}",
        String::from_utf8_lossy(&refused.body)
    );
    let forged = gateway
        .get(&format!("{addon}/play?url=http%3A%2F%2F127.0.0.1%2F"))
        .await;
    assert_eq!(forged.status, 503);

    // What was played is mounted now, and listed before what indexers have.
    let found = ask("movie/tt0078748").await;
    assert_eq!(found.len(), 3);
    assert!(
        found[0]["name"].as_str().unwrap().ends_with("mounted"),
        "{found:?}"
    );
    assert!(!gateway.log().contains("indexers-secret"));
    lint(
        gateway,
        &addon,
        &["series/tt11280740:1:2", "movie/tt0078748"],
    );
}

/// Stremio's own linter, if the page's tools are installed.
fn lint(gateway: &Gateway, addon: &str, streams: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("e2e/node_modules/stremio-addon-linter").exists() {
        eprintln!("skipped: stremio-addon-linter is not installed; npm ci --prefix e2e brings it");
        return;
    }
    let url = gateway.url(addon);
    let mut command = Command::new("node");
    command.arg(root.join("e2e/addon.mjs")).arg(url.as_str());
    let linted = command.args(streams).output().unwrap();
    let said = String::from_utf8_lossy(&linted.stdout).into_owned();
    let errors = String::from_utf8_lossy(&linted.stderr).into_owned();
    assert!(linted.status.success(), "{said}{errors}");
}

/// Without files of a library: what SABnzbd calls completed is there, where `/webdav/` is mounted.
#[tokio::test]
async fn the_history_waits_until_the_mount_shows_the_post() {
    let film = film(200_000, 14);
    let post = Post::new("shown", &[("Film.mkv", &film)], 50_000);
    let mount_dir = tempfile::tempdir().unwrap();
    let library = format!(
        "[usenet.library]\nmount_dir = \"{}\"\n",
        mount_dir.path().display()
    );
    let stage = Stage::with(&[&post], &library).await;
    let gateway = &stage.gateway;
    let query = "cat=tv&nzbname=Film%7B%7Bpassword%7D%7D.nzb";
    let added = sab_add(gateway, query, "x.nzb", &post).await;
    let id = added["nzo_ids"][0].as_str().unwrap();
    let plays = async || {
        let mounts = gateway.json("/api/v1/mounts").await;
        (mounts["mounts"][0]["state"] == "completed").then_some(())
    };
    wait_until(SOON, "the mount", plays).await.unwrap();
    let queue = sab(gateway, &format!("mode=queue&nzo_ids={id}")).await;
    assert_eq!(queue["queue"]["slots"][0]["filename"], "Film");
    let folder = mount_dir.path().join("content/tv/Film");
    fs::create_dir_all(&folder).unwrap();
    let slot = past(gateway, id).await;
    assert_eq!(slot["storage"], folder.to_str().unwrap());
    // Again, under the same name with its password.
    let again = sab_add(gateway, query, "x.nzb", &post).await;
    assert_eq!(again["nzo_ids"][0], id);
    assert_eq!(past(gateway, id).await["name"], "Film");
}

#[cfg(unix)]
#[tokio::test]
async fn symlinks_lead_where_the_mount_is_and_outlive_a_new_name() {
    let film = film(300_000, 10);
    let post = Post::new(
        "links",
        &[
            ("Film.mkv", &film),
            ("Film.srt", b"1\n"),
            ("notes.nfo", b"x"),
        ],
        50_000,
    );
    let mount_dir = tempfile::tempdir().unwrap();
    let library = format!(
        "[usenet.library]\ndir = \"library\"\nmode = \"symlink\"\nmount_dir = \"{}\"\n",
        mount_dir.path().display()
    );
    let stage = Stage::with(&[&post], &library).await;
    let answer = stage
        .submit(&post, "Film.nzb", &[("category", "movies")])
        .await;
    let id = answer["_queue_item_id"].as_i64().unwrap();
    let folder = stage.gateway.folder().join("library/movies/Film");
    // One is made after the other.
    let links = wait_until(SOON, "the links", async || {
        let links = ["Film.mkv", "Film.srt"].map(|name| fs::read_link(folder.join(name)).ok());
        links[0].clone().zip(links[1].clone())
    });
    let (link, _) = links.await.unwrap();
    assert_eq!(link, mount_dir.path().join(format!(".ids/{id}/Film.mkv")));
    assert!(!folder.join("notes.nfo").exists());
    // Where rclone mounts /webdav/, the link leads to the file.
    let path = link.strip_prefix(mount_dir.path()).unwrap();
    let path = format!("/webdav/{}", path.to_str().unwrap());
    assert_eq!(dav(&stage.gateway, "GET", &path, &[]).await.body, film);
    let is_kept = async || {
        let mount = stage.gateway.json(&format!("/api/v1/mounts/{id}")).await;
        (mount["is_kept"] == true).then_some(())
    };
    wait_until(SOON, "the mount is kept", is_kept)
        .await
        .unwrap();
    let deleted = stage
        .gateway
        .admin(Method::DELETE, &format!("/api/v1/mounts/{id}"), "")
        .await;
    assert_eq!(deleted.status, 204);
    let is_gone = async || (!folder.exists()).then_some(());
    wait_until(SOON, "what stood for it is gone", is_gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_change_is_an_event() {
    let film = film(200_000, 11);
    let post = Post::new("events", &[("film.mkv", &film)], 50_000);
    let dead = Post::new("dead", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    let mut events = e2e::Connection::open(stage.gateway.port()).await;
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n\r\n");
    assert!(events.send(request.as_bytes()).await);
    events.read_until(SOON, "\r\n\r\n").await.unwrap();
    let answer = stage.submit(&post, "events.nzb", &[]).await;
    for state in ["accepted", "probing", "streamable", "verified", "completed"] {
        let heard = events.read_until(SOON, &format!("event: {state}\n")).await;
        assert!(heard.unwrap().contains("\"mount\":1"), "{state}");
    }
    stage.refused(&dead, &[]).await;
    events.read_until(SOON, "event: failed\n").await.unwrap();
    let id = &answer["_queue_item_id"];
    stage
        .gateway
        .admin(Method::DELETE, &format!("/api/v1/mounts/{id}"), "")
        .await;
    events.read_until(SOON, "event: removed\n").await.unwrap();
}

/// Killed at fifty moments of imports, which take two round trips of 40 ms here: what was answered is there
/// once, and plays.
#[tokio::test]
async fn what_was_accepted_survives_being_killed() {
    const KILLS: u64 = 50;
    const FAR: Duration = Duration::from_millis(40);
    let films: Vec<_> = (0..KILLS).map(|seed| film(200_000, 100 + seed)).collect();
    let posts: Vec<_> = films
        .iter()
        .enumerate()
        .map(|(n, film)| {
            Post::new(
                &format!("kill{n}"),
                &[(&*format!("film{n}.mkv"), film)],
                50_000,
            )
        })
        .collect();
    let server = Server::start().await.unwrap();
    for post in &posts {
        server.add(post);
    }
    let proxy = Proxy::start(server.address(), FAR).await.unwrap();
    let mut stage = Stage::at(server, proxy.address(), "", &[]).await;
    for (n, post) in posts.iter().enumerate() {
        let added = sab_add(&stage.gateway, "cat=tv", &format!("post{n}.nzb"), post).await;
        assert_eq!(added["status"], true, "{added}");
        // Another moment each time: none, some, or all of the import is done.
        tokio::time::sleep(Duration::from_millis(n as u64 * 37 % 150)).await;
        assert!(stage.gateway.start_again().await);
    }
    let done = wait_until(SOON, "all imports", async || {
        let mounts = stage.gateway.json("/api/v1/mounts").await;
        let mounts = mounts["mounts"].as_array().unwrap().clone();
        let is_done = |mount: &Value| mount["state"] == "completed";
        mounts.iter().all(is_done).then_some(mounts)
    });
    let done = done.await.unwrap();
    let names = done.iter().map(|mount| mount["name"].as_str().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let mut expected: Vec<_> = (0..KILLS).map(|n| format!("post{n}")).collect();
    expected.sort_unstable();
    assert_eq!(names, expected, "each once");
    for (n, film) in films.iter().enumerate().step_by(10) {
        let name = format!("post{n}");
        let mount = done.iter().find(|mount| mount["name"] == name);
        let url = mount.unwrap()["files"][0]["url"].as_str().unwrap();
        stage.plays(&stage.local(url), film, 1).await;
    }
}

/// `perennial check` says of each provider whether it lets us in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tries_every_provider() {
    let stage = Stage::new(&[]).await;
    stage.server.set_account("me", "right");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pass"), "wrong-password").unwrap();
    let address = stage.server.address();
    let run = |password: &str| {
        fs::write(folder.path().join("pass"), password).unwrap();
        let toml = format!(
            "version = 1\n{}username = \"me\"\npassword_file = \"pass\"\n",
            posts::provider(address)
        );
        fs::write(folder.path().join("perennial.toml"), toml).unwrap();
        let output = e2e::command(folder.path(), &["check"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains(password), "{said}");
        (output.status.success(), said)
    };
    let (success, said) = run("wrong-password");
    assert!(
        !success && said.contains(&format!("FAIL  provider {address}")),
        "{said}"
    );
    let (success, said) = run("right");
    assert!(
        success && said.contains(&format!("ok    provider {address}: signed in")),
        "{said}"
    );
}

#[tokio::test]
async fn a_mount_whose_articles_are_gone_can_be_tried_again() {
    let film = film(500_000, 12);
    let post = Post::new("retry", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    for id in post.ids(0) {
        stage.server.set_fault(id, Some(Fault::Missing));
    }
    let (status, error) = stage.refused(&post, &[]).await;
    assert_eq!((status, &error["code"]), (422, &json!("dead_post")));
    let id = &error["details"]["queue_item_id"];
    for article in post.ids(0) {
        stage.server.set_fault(article, None);
    }
    let retried = stage
        .gateway
        .admin(Method::POST, &format!("/api/v1/mounts/{id}/retry"), "")
        .await;
    assert_eq!(retried.status, 202);
    let plays = wait_until(SOON, "the mount", async || {
        let mount = stage.gateway.json(&format!("/api/v1/mounts/{id}")).await;
        mount["files"][0]["url"].as_str().map(str::to_owned)
    });
    stage
        .plays(&stage.local(&plays.await.unwrap()), &film, 2)
        .await;
}

/// Sonarr looks by category, whoever submitted the post first and however far it came.
#[tokio::test]
async fn what_is_known_and_does_not_play_is_found_where_its_caller_looks() {
    let film = film(400_000, 20);
    let slow = Post::new("slow", &[("film.mkv", &film)], 50_000);
    let dead = Post::new("dead", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&slow]).await;
    let gateway = &stage.gateway;

    assert_eq!(stage.refused(&dead, &[]).await.0, 422);
    // Another has the name that it will be wanted under.
    let other = Post::new("other", &[("film.mkv", &film)], 50_000);
    stage.server.add(&other);
    sab_add(gateway, "cat=tv", "Show.S01E02.nzb", &other).await;
    let added = sab_add(gateway, "cat=tv", "Show.S01E02.nzb", &dead).await;
    let slot = past(gateway, added["nzo_ids"][0].as_str().unwrap()).await;
    assert_eq!(
        [&slot["category"], &slot["name"], &slot["status"]],
        ["tv", "Show.S01E02 (2)", "Failed"]
    );
    // To add it is to try it: by now it has been posted.
    stage.server.add(&dead);
    let added = sab_add(gateway, "cat=tv", "Show.S01E02.nzb", &dead).await;
    let id = added["nzo_ids"][0].as_str().unwrap();
    assert_eq!(past(gateway, id).await["status"], "Completed");

    for id in slow.ids(0) {
        stage.server.set_fault(id, Some(Fault::Stall));
    }
    assert_eq!(stage.refused(&slow, &[("timeout", "1")]).await.0, 408);
    let added = sab_add(gateway, "cat=tv", "Show.S01E01.nzb", &slow).await;
    let queue = sab(gateway, "mode=queue&category=tv").await;
    let slot = &queue["queue"]["slots"][0];
    assert_eq!(
        (&slot["nzo_id"], &slot["filename"]),
        (&added["nzo_ids"][0], &json!("Show.S01E01"))
    );
}

#[tokio::test]
async fn an_announcement_that_failed_is_made_once_it_can_be() {
    let film = film(200_000, 21);
    let post = Post::new("owed", &[("film.mkv", &film)], 50_000);
    let library = "[usenet.library]\ndir = \"library\"\nmode = \"strm\"\n";
    // A file is where the folder should be.
    let stage = Stage::beside(&[&post], library, &[("library", "in the way")]).await;
    let gateway = &stage.gateway;
    let added = sab_add(gateway, "cat=tv", "Show.nzb", &post).await;
    let id = added["nzo_ids"][0].as_str().unwrap();
    let told = async || {
        let log = gateway.log();
        log.contains("could not be announced").then_some(())
    };
    wait_until(SOON, "the failure", told).await.unwrap();
    let queue = sab(gateway, &format!("mode=queue&nzo_ids={id}")).await;
    assert_eq!(queue["queue"]["slots"][0]["status"], "Moving", "{queue}");
    let dir = gateway.folder().join("library");
    fs::remove_file(&dir).unwrap();
    assert_eq!(past(gateway, id).await["status"], "Completed");
    assert!(dir.join("tv/Show/film.strm").exists());
}

#[tokio::test]
async fn a_move_that_is_refused_leaves_the_files_of_the_library_alone() {
    let (one, two) = (film(200_000, 22), film(200_000, 23));
    let one = Post::new("one", &[("a.mkv", &one)], 50_000);
    let two = Post::new("two", &[("b.mkv", &two)], 50_000);
    let library = "[usenet.library]\ndir = \"library\"\nmode = \"strm\"\n";
    let stage = Stage::with(&[&one, &two], library).await;
    let gateway = &stage.gateway;
    for (post, name) in [(&one, "One.nzb"), (&two, "Two.nzb")] {
        let added = sab_add(gateway, "cat=tv", name, post).await;
        past(gateway, added["nzo_ids"][0].as_str().unwrap()).await;
    }
    let strm = gateway.folder().join("library/tv/One/a.strm");
    fs::write(&strm, "as somebody left it").unwrap();
    let to = "/webdav/content/tv/Two";
    let from = "/webdav/content/tv/One";
    let refused = dav(gateway, "MOVE", from, &[("destination", to)]).await;
    assert_eq!(refused.status, 412);
    assert_eq!(fs::read_to_string(&strm).unwrap(), "as somebody left it");
    let to = "/webdav/content/films/One";
    let moved = dav(gateway, "MOVE", from, &[("destination", to)]).await;
    assert_eq!(moved.status, 201);
    let moved = gateway.folder().join("library/films/One/a.strm");
    assert!(moved.exists() && !strm.exists());
}

#[tokio::test]
async fn a_list_deletes_only_what_it_holds() {
    let film = film(200_000, 24);
    let slow = Post::new("slow", &[("film.mkv", &film)], 50_000);
    let post = Post::new("done", &[("film.mkv", &film)], 50_000);
    let library = "[usenet.library]\ndir = \"library\"\nmode = \"strm\"\n";
    let stage = Stage::with(&[&post, &slow], library).await;
    let gateway = &stage.gateway;
    for id in slow.ids(0) {
        stage.server.set_fault(id, Some(Fault::Stall));
    }
    let added = sab_add(gateway, "cat=tv", "Done.nzb", &post).await;
    let done = added["nzo_ids"][0].as_str().unwrap();
    past(gateway, done).await;
    let added = sab_add(gateway, "cat=tv", "Slow.nzb", &slow).await;
    let waiting = added["nzo_ids"][0].as_str().unwrap();
    for query in [
        format!("mode=queue&name=delete&del_files=1&value={done}"),
        format!("mode=history&name=delete&del_files=1&value={waiting}"),
    ] {
        let answer = sab(gateway, &query).await;
        assert_eq!(answer, json!({ "status": true, "nzo_ids": [] }), "{query}");
    }
    past(gateway, done).await;
    let query = format!("mode=queue&name=delete&value={waiting},{done}");
    assert_eq!(sab(gateway, &query).await["nzo_ids"], json!([waiting]));
    let mounts = gateway.json("/api/v1/mounts").await;
    assert_eq!(mounts["mounts"].as_array().unwrap().len(), 1);
}

/// What a listing says of each file may be long, or the files many; not both.
#[tokio::test]
async fn a_listing_has_an_end() {
    const FILES: usize = 5_000;
    let names: Vec<_> = (0..FILES).map(|n| format!("page {n:05}.jpg")).collect();
    let film = film(100_000, 25);
    let mut inside: Vec<(&str, &[u8])> = vec![("film.mkv", &film)];
    inside.extend(names.iter().map(|name| (name.as_str(), &b"x"[..])));
    let volumes = rar5::volumes(&inside, 4 << 20);
    let post = Post::new("long", &[("long.rar", &volumes[0])], 200_000);
    let stage = Stage::new(&[&post]).await;
    stage.submit(&post, "long.nzb", &[]).await;
    let ask = async |namespace: usize, names: usize, depth: &str| {
        let names = "<x:a/>".repeat(names);
        let body = format!(
            "<propfind xmlns=\"DAV:\" xmlns:x=\"{}\"><prop>{names}</prop></propfind>",
            "n".repeat(namespace)
        );
        let basic = basic();
        let headers = [("authorization", &*basic), ("depth", depth)];
        let method = Method::from_bytes(b"PROPFIND").unwrap();
        let path = "/webdav/content/stremio/long/";
        stage.gateway.send(method, path, &headers, body).await
    };
    // Repeated for each file, this would be 30 GB.
    assert_eq!(ask(60_000, 100, "0").await.status, 400);
    assert_eq!(ask(60, 20, "1").await.status, 207);
    for depth in ["1", "infinity"] {
        let answer = ask(70, 100, depth).await;
        assert_eq!(answer.status, 403, "{depth}: {} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn an_indexer_is_asked_in_turns() {
    const ASKED: u32 = 12;
    const SPACING: Duration = Duration::from_millis(50);
    let indexer = Canned::start(|_| Answer::not_found()).await;
    let stage = Stage::with(&[], "nzb_url_allow = [\"127.0.0.1\"]\n").await;
    let began = Instant::now();
    let all = (0..ASKED).map(async |n| {
        let url = indexer.url(&format!("/get/{n}"));
        let query = posts::form(&[("mode", "addurl"), ("name", url.as_str())]);
        let answer = sab(&stage.gateway, &query).await;
        assert_eq!(answer["status"], false);
    });
    futures_util::future::join_all(all).await;
    assert_eq!(indexer.asked().len(), ASKED as usize);
    assert!(began.elapsed() >= SPACING * (ASKED - 1));
}

/// A path's number goes before a category of the same digits (ADR 16).
#[tokio::test]
async fn no_category_takes_the_place_of_a_number() {
    let (one, two) = (film(200_000, 26), film(200_000, 27));
    let volumes = rar5::volumes(&[("x/film.mkv", &one)], 4 << 20);
    let first = Post::new("first", &[("first.rar", &volumes[0])], 50_000);
    let second = Post::new("second", &[("film.mkv", &two)], 50_000);
    let stage = Stage::new(&[&first, &second]).await;
    let answer = stage.submit(&first, "first.nzb", &[]).await;
    let id = answer["_queue_item_id"].to_string();
    stage.submit(&second, "x.nzb", &[("category", &id)]).await;
    stage
        .plays(&stage.path_of(&answer["streams"][0]), &one, 2)
        .await;
    let keyed = format!("path={id}/x/film.mkv&download_key={}", download_key());
    stage
        .plays(&format!("/api/files/stream?{keyed}"), &one, 2)
        .await;
}

#[tokio::test]
async fn two_accounts_at_one_provider_are_told_apart() {
    let server = Server::start().await.unwrap();
    let address = server.address();
    let other = posts::provider(address) + "username = \"me\"\npassword_file = \"pass\"\n";
    let stage = Stage::at(server, address, &other, &[("pass", "secret")]).await;
    let metrics = stage.gateway.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> = series.filter_map(|line| line.rsplit_once(' ')).collect();
    series.sort_unstable();
    let twice = series.windows(2).find(|pair| pair[0].0 == pair[1].0);
    assert_eq!(twice, None);
    let accounts = series
        .iter()
        .filter(|(name, _)| name.contains("provider_usable"));
    assert_eq!(accounts.count(), 2);
}

/// Who has a key hears what is wrong with his form; who has none hears only that.
#[tokio::test]
async fn a_key_before_the_break_in_a_form_is_a_key() {
    let stage = Stage::new(&[]).await;
    let download_key = download_key();
    for (path, field, key, status, said) in [
        (
            "/api/nzb/streams",
            "download_key",
            &*download_key,
            400,
            "bad_request",
        ),
        (
            "/api/nzb/streams",
            "download_key",
            "wrong",
            401,
            "unauthorized",
        ),
        ("/sabnzbd/api?mode=addfile", "apikey", KEY, 200, "multipart"),
        (
            "/sabnzbd/api?mode=addfile",
            "apikey",
            "wrong",
            401,
            "API Key Incorrect",
        ),
    ] {
        let (kind, mut body) = multipart(&[(field, key)], Some(("x.nzb", b"<nzb>")));
        body.truncate(body.len() - 40);
        let headers = [("content-type", &*kind)];
        let answer = stage.gateway.send(Method::POST, path, &headers, body).await;
        let text = String::from_utf8_lossy(&answer.body);
        let is_so = answer.status == status && text.contains(said);
        assert!(is_so, "{path} {field}={key}: {} {text}", answer.status);
    }
}

#[tokio::test]
async fn an_nzb_that_was_put_can_be_fetched_again() {
    let film = film(200_000, 28);
    let post = Post::new("put", &[("film.mkv", &film)], 50_000);
    let stage = Stage::new(&[&post]).await;
    let basic = basic();
    let key = [("authorization", &*basic)];
    let nzb = post.nzb();
    for path in ["/webdav/nzbs/x.nzb", "/webdav/nzbs/tv/again.nzb"] {
        let put = stage.gateway.send(Method::PUT, path, &key, nzb.clone());
        assert_eq!(put.await.status, 201);
        let got = dav(&stage.gateway, "GET", path, &[]).await;
        assert_eq!((got.status, &got.body[..]), (200, nzb.as_bytes()), "{path}");
        let head = dav(&stage.gateway, "HEAD", path, &[]).await;
        assert_eq!(
            (
                header(&head, "content-length"),
                header(&head, "content-type")
            ),
            (&*nzb.len().to_string(), "application/x-nzb")
        );
    }
}

#[tokio::test]
async fn what_the_faces_note_survives_a_restart() {
    let film = film(200_000, 29);
    let post = Post::new("noted", &[("a-name-of-its-own.mkv", &film)], 50_000);
    let mut stage = Stage::new(&[&post]).await;
    let added = sab_add(&stage.gateway, "cat=tv", "Noted.nzb", &post).await;
    let id = added["nzo_ids"][0].as_str().unwrap();
    past(&stage.gateway, id).await;
    let delete = format!("mode=history&name=delete&value={id}");
    assert_eq!(sab(&stage.gateway, &delete).await["status"], true);
    let basic = basic();
    let key = [("authorization", &*basic)];
    let path = "/webdav/nzbs/tv/noted.nzb";
    let put = stage.gateway.send(Method::PUT, path, &key, post.nzb());
    assert_eq!(put.await.status, 201);
    stage.submit(&post, "x.nzb", &[("id", "tt0078748")]).await;

    assert!(stage.gateway.start_again().await);
    let history = sab(&stage.gateway, "mode=history").await;
    assert_eq!(history["history"]["slots"], json!([]));
    let nzb = dav(&stage.gateway, "GET", path, &[]).await;
    assert_eq!((nzb.status, &nzb.body[..]), (200, post.nzb().as_bytes()));
    let listed = dav(
        &stage.gateway,
        "PROPFIND",
        "/webdav/nzbs",
        &[("depth", "infinity")],
    )
    .await;
    assert!(hrefs(&listed).contains(&path.to_owned()));
    let addon = format!("/stremio/{}/stream/movie/tt0078748.json", download_key());
    let streams = json_of(&stage.gateway.get(&addon).await);
    assert_eq!(streams["streams"].as_array().unwrap().len(), 1);
}
