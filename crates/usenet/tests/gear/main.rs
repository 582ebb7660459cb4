//! Posts that real archivers made, at a real server: every kind that must play, byte for byte.
//!
//! What is not installed is skipped with a line that says so; `scripts/install.sh test` brings all of it
//! but `rar`, which is not free: of that the fixtures of `nzb` are played in `it`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base::Redacted;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use store::{Location, Store};
use tempfile::TempDir;
use testkit::gear::{Inn, inn};
use testkit::nntp::{Post, Posting, rar5};
use testkit::noise::film;
use tokio::time::Instant;
use usenet::{Code, Failure, File, ProviderSettings, Selector, Settings, Submission, Usenet};

const DEADLINE: Duration = Duration::from_secs(60);
const PART: usize = 200_000;
const RANGES: usize = 1000;

fn say(text: &str) {
    // Not by a macro, whose output the harness keeps to itself.
    let line = format!("{text}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

async fn server() -> Option<Inn> {
    match Inn::start().await {
        Ok(inn) => Some(inn),
        Err(error @ testkit::Error::Missing { .. }) => {
            say(&format!("usenet: not tested against INN: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn account(inn: &Inn) -> ProviderSettings {
    ProviderSettings {
        host: inn.address().ip().to_string(),
        port: inn.address().port(),
        tls: None,
        username: Some(inn::USERNAME.to_owned()),
        password: Redacted::new(inn::PASSWORD.to_owned()),
        connections: 8,
        priority: 0,
        backup: false,
        storage_group: String::new(),
    }
}

async fn engine(provider: ProviderSettings) -> Usenet {
    let store = Store::open(&Location::Memory).await.unwrap();
    let settings = Settings {
        providers: vec![provider],
        ..Settings::default()
    };
    Usenet::start(settings, store).await.unwrap()
}

async fn play(usenet: &Usenet, post: &Post, password: Option<&str>) -> Result<Vec<File>, Failure> {
    let submission = Submission {
        nzb: post.nzb().into(),
        name: "The Post".to_owned(),
        password: password.map(|text| Redacted::new(text.to_owned())),
        ..Submission::default()
    };
    let mount: Arc<_> = usenet.submit(submission).await.unwrap().mount;
    mount
        .ready(Selector::default(), Instant::now() + DEADLINE)
        .await
}

async fn read(file: &File, start: u64, end: u64) -> Vec<u8> {
    let mut reader = file.read(start..end);
    let mut out = Vec::new();
    while let Some(bytes) = tokio::time::timeout(DEADLINE, reader.next())
        .await
        .expect("bytes come")
    {
        out.extend_from_slice(&bytes.unwrap());
    }
    out
}

async fn check(file: &File, original: &[u8], what: &str) {
    assert_eq!(file.size(), original.len() as u64, "{what}");
    assert!(
        read(file, 0, file.size()).await == original,
        "{what}: whole"
    );
    for Range { start, end } in testkit::noise::ranges(original.len(), 50_000, RANGES) {
        let got = read(file, start as u64, end as u64).await;
        assert!(got == original[start..end], "{what}: {start}..{end}");
    }
}

/// Runs an archiver in `folder`. `false` if it is not installed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    match command.status() {
        Ok(status) => {
            assert!(status.success(), "{program} {arguments:?}: {status}");
            true
        }
        Err(_) => {
            say(&format!(
                "usenet: not tested with {program}, which is not installed"
            ));
            false
        }
    }
}

/// What an archiver left in `folder`, but for what went in.
fn made(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.retain(|file| !file.ends_with("Film.mkv"));
    let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|file| (name(file), std::fs::read(file).unwrap()))
        .collect()
}

struct Case {
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    password: Option<&'static str>,
    is_obfuscated: bool,
}

const fn case(
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
) -> Case {
    Case {
        what,
        program,
        arguments,
        password: None,
        is_obfuscated: false,
    }
}

const fn sealed(
    what: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
) -> Case {
    Case {
        password: Some("secret"),
        ..case(what, program, arguments)
    }
}

const CASES: &[Case] = &[
    case("7z", "7z", &["a", "-mx0", "x.7z", "Film.mkv"]),
    case(
        "7z in pieces",
        "7z",
        &["a", "-mx0", "-v700k", "x.7z", "Film.mkv"],
    ),
    sealed(
        "7z with a password",
        "7z",
        &["a", "-mx0", "-psecret", "-v700k", "x.7z", "Film.mkv"],
    ),
    sealed(
        "7z with sealed headers",
        "7z",
        &["a", "-mx0", "-psecret", "-mhe=on", "x.7z", "Film.mkv"],
    ),
    case("zip", "zip", &["-0", "-q", "x.zip", "Film.mkv"]),
    case(
        "zip in pieces",
        "7z",
        &["a", "-tzip", "-mx0", "-v700k", "x.zip", "Film.mkv"],
    ),
    case("rar", "rar", &["a", "-m0", "-idq", "x.rar", "Film.mkv"]),
    case(
        "rar volumes",
        "rar",
        &["a", "-m0", "-idq", "-v300k", "x.rar", "Film.mkv"],
    ),
    case(
        "rar volumes of old names",
        "rar",
        &["a", "-m0", "-idq", "-vn", "-v300k", "x.rar", "Film.mkv"],
    ),
    case(
        "rar with recovery records",
        "rar",
        &["a", "-m0", "-idq", "-rr10", "-v300k", "x.rar", "Film.mkv"],
    ),
    sealed(
        "rar with a password",
        "rar",
        &[
            "a", "-m0", "-idq", "-psecret", "-v300k", "x.rar", "Film.mkv",
        ],
    ),
    sealed(
        "rar with sealed headers",
        "rar",
        &[
            "a",
            "-m0",
            "-idq",
            "-hpsecret",
            "-v300k",
            "x.rar",
            "Film.mkv",
        ],
    ),
    Case {
        is_obfuscated: true,
        ..case(
            "rar under names that say nothing",
            "rar",
            &["a", "-m0", "-idq", "-v300k", "x.rar", "Film.mkv"],
        )
    },
    Case {
        is_obfuscated: true,
        ..case(
            "a film named by par2",
            "par2",
            &["create", "-q", "-q", "-r5", "x.par2", "Film.mkv"],
        )
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_post_plays() {
    let Some(inn) = server().await else { return };
    let usenet = engine(account(&inn)).await;
    let film = film(3_333_333, 1);
    for case in CASES {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("Film.mkv"), &film).unwrap();
        if !run(folder.path(), case.program, case.arguments) {
            continue;
        }
        let mut files = made(folder.path());
        if case.program == "par2" {
            files.push(("Film.mkv".to_owned(), film.clone()));
        }
        let posted: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, data)| (&**name, &data[..]))
            .collect();
        let posting = Posting {
            part_bytes: PART,
            is_obfuscated: case.is_obfuscated,
        };
        let post = Post::with(&case.what.replace(' ', "-"), &posted, posting);
        inn.post(&post).await.unwrap();
        let found = play(&usenet, &post, case.password).await;
        let found = found.unwrap_or_else(|failure| panic!("{}: {failure:?}", case.what));
        assert_eq!(found[0].info().path, "Film.mkv", "{}", case.what);
        check(&found[0], &film, case.what).await;
    }
    usenet.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_comes_over_tls() {
    let Some(inn) = server().await else { return };
    let film = film(2_000_000, 1);
    let post = Post::new("tls", &[("Film.mkv", &film)], PART);
    inn.post(&post).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let pem = inn.certificate().unwrap();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = |roots| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    };
    let over_tls = |config| ProviderSettings {
        host: "localhost".to_owned(),
        port: inn.tls_address().port(),
        tls: Some(config),
        ..account(&inn)
    };
    let usenet = engine(over_tls(config(roots))).await;
    let found = play(&usenet, &post, None).await.unwrap();
    check(&found[0], &film, "over tls").await;
    usenet.close().await;
    // A certificate that nobody vouches for is refused, and named.
    let stranger = over_tls(config(rustls::RootCertStore::empty()));
    let error = usenet::check(&stranger).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_at_one_server_another_has() {
    let (Some(a), Some(b)) = (server().await, server().await) else {
        return;
    };
    let film = film(3_000_000, 1);
    let volumes = rar5::volumes(&[("Film.mkv", &film)], 400_000);
    let post = Post::volumes("cancel", &volumes, PART);
    a.post(&post).await.unwrap();
    b.post(&post).await.unwrap();
    for file in 0..post.files() {
        a.cancel(post.ids(file)[1]).unwrap();
    }
    let store = Store::open(&Location::Memory).await.unwrap();
    let settings = Settings {
        providers: vec![account(&a), account(&b)],
        ..Settings::default()
    };
    let usenet = Usenet::start(settings, store).await.unwrap();
    let found = play(&usenet, &post, None).await.unwrap();
    check(&found[0], &film, "with a second server").await;
    usenet.close().await;
    // With the first one alone a third of the post is gone.
    let usenet = engine(account(&a)).await;
    let failure = play(&usenet, &post, None).await.unwrap_err();
    assert_eq!(failure.code, Code::Incomplete);
}
