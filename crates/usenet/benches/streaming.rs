//! `make bench`: a film read through the engine, beside a raw pipelined fetch of the same articles in the
//! same run, from INN on loopback. Prints Markdown; progress goes to stderr.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program that prints its results"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Redacted;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use store::{Location, Store};
use testkit::gear::{Inn, inn};
use testkit::nntp::{Post, Proxy, rar5};
use testkit::noise::film;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use usenet::{File, ProviderSettings, Selector, Settings, Submission, Usenet};

const FILM_BYTES: usize = 512 << 20;
const PART_BYTES: usize = 716_800;
const CONNECTIONS: u16 = 20;
/// Commands outstanding on a connection of the raw fetch.
const DEPTH: usize = 4;
const RUNS: usize = 5;
const SEEKS: usize = 50;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Cargo runs every bench when it runs the tests of all targets; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if let Ok(port) = std::env::var(ENGINE) {
        return engine(port.parse().unwrap()).await;
    }
    let inn = match Inn::start().await {
        Ok(inn) => inn,
        Err(error) => return println!("skipped: {error}"),
    };
    let film = film(FILM_BYTES, 1);
    eprintln!("posting");
    let plain = Post::new("plain", &[("Film.mkv", &film)], PART_BYTES);
    inn.post(&plain).await.unwrap();
    let volumes = rar5::volumes(&[("Film.mkv", &film)], 50 << 20);
    let rar = Post::volumes("rar", &volumes, PART_BYTES);
    inn.post(&rar).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let plain_nzb = write("plain.nzb", plain.nzb());
    let rar_nzb = write("rar.nzb", rar.nzb());
    let certificate = write("cert.pem", inn.certificate().unwrap());
    println!("### Streaming from articles\n");
    println!(
        "{} MB from INN 2.7 on loopback, {CONNECTIONS} connections, articles of {PART_BYTES} bytes; medians of {RUNS} runs. CPU and \
         memory are those of the process that reads: the engine decodes and checks, the raw fetch does not; neither serves anybody.\n",
        FILM_BYTES >> 20
    );
    println!("| | MB/s | CPU-s per GB | peak RSS, MB |\n|---|---|---|---|");
    let mut raws = Vec::new();
    for _ in 0..RUNS {
        let began = Clock::now();
        raw(inn.address(), &plain).await;
        raws.push(began.took());
    }
    row("raw pipelined fetch, discarded", &mut raws);
    for (what, nzb, is_tls) in [
        ("plain film", &plain_nzb, false),
        ("RAR 5 volumes", &rar_nzb, false),
        ("plain film over TLS", &plain_nzb, true),
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(in_child(&inn, nzb, is_tls.then_some(&*certificate)));
        }
        row(what, &mut runs);
    }
    println!();
    seeks(&inn, &plain.nzb()).await;
}

/// Names the port that an engine in a process of its own connects to.
const ENGINE: &str = "USENET_BENCH_PORT";
const NZB: &str = "USENET_BENCH_NZB";
const CERTIFICATE: &str = "USENET_BENCH_CERTIFICATE";

/// One run in a fresh process, whose memory is the engine's alone.
fn in_child(inn: &Inn, nzb: &Path, certificate: Option<&Path>) -> Run {
    let address = if certificate.is_some() {
        inn.tls_address()
    } else {
        inn.address()
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("--bench")
        .env(ENGINE, address.port().to_string())
        .env(NZB, nzb);
    if let Some(certificate) = certificate {
        command.env(CERTIFICATE, certificate);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let &[mb_s, cpu_s_per_gb, rss_mb] = &numbers[..] else {
        panic!("{text}")
    };
    Run {
        mb_s,
        cpu_s_per_gb,
        rss_mb,
    }
}

async fn engine(port: u16) {
    let tls = std::env::var(CERTIFICATE)
        .ok()
        .map(|file| tls(&std::fs::read_to_string(file).unwrap()));
    let nzb = std::fs::read_to_string(std::env::var(NZB).unwrap()).unwrap();
    let run = sequential(&nzb, account(port, tls)).await;
    println!("{} {} {}", run.mb_s, run.cpu_s_per_gb, run.rss_mb);
}

struct Clock {
    wall: Instant,
    cpu_s: f64,
}

#[derive(Clone, Copy)]
struct Run {
    mb_s: f64,
    cpu_s_per_gb: f64,
    rss_mb: f64,
}

impl Clock {
    fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu_s: cpu_s(),
        }
    }

    fn took(&self) -> Run {
        let gb = FILM_BYTES as f64 / 1e9;
        Run {
            mb_s: gb * 1000.0 / self.wall.elapsed().as_secs_f64(),
            cpu_s_per_gb: (cpu_s() - self.cpu_s) / gb,
            rss_mb: status_kb("VmHWM:") / 1000.0,
        }
    }
}

fn row(what: &str, runs: &mut [Run]) {
    let mut median = |value: fn(&Run) -> f64| {
        runs.sort_by(|a, b| value(a).total_cmp(&value(b)));
        value(&runs[runs.len() / 2])
    };
    let (mb_s, cpu, rss) = (
        median(|r| r.mb_s),
        median(|r| r.cpu_s_per_gb),
        median(|r| r.rss_mb),
    );
    // What posts holds the posts: its memory says nothing.
    let rss = if what.starts_with("raw") {
        "–".to_owned()
    } else {
        format!("{rss:.0}")
    };
    println!("| {what} | {mb_s:.0} | {cpu:.2} | {rss} |");
}

/// Ticks of 10 ms that this process has used, as seconds.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn status_kb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn tls(pem: &str) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn account(port: u16, tls: Option<Arc<rustls::ClientConfig>>) -> ProviderSettings {
    ProviderSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls,
        username: Some(inn::USERNAME.to_owned()),
        password: Redacted::new(inn::PASSWORD.to_owned()),
        connections: CONNECTIONS,
        priority: 0,
        backup: false,
        storage_group: String::new(),
    }
}

async fn mount(nzb: &str, provider: ProviderSettings) -> (Usenet, File) {
    let store = Store::open(&Location::Memory).await.unwrap();
    let settings = Settings {
        providers: vec![provider],
        ..Settings::default()
    };
    let usenet = Usenet::start(settings, store).await.unwrap();
    let submission = Submission {
        nzb: nzb.to_owned().into(),
        name: "Film".to_owned(),
        ..Submission::default()
    };
    let mount = usenet.submit(submission).await.unwrap().mount;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let file = mount
        .ready(Selector::default(), deadline)
        .await
        .unwrap()
        .remove(0);
    (usenet, file)
}

/// A fresh engine reads the film from its first byte to its last.
async fn sequential(nzb: &str, provider: ProviderSettings) -> Run {
    let (usenet, file) = mount(nzb, provider).await;
    let began = Clock::now();
    let mut reader = file.read(0..file.size());
    let mut bytes = 0;
    while let Some(piece) = reader.next().await {
        bytes += piece.unwrap().len();
    }
    assert_eq!(bytes, FILM_BYTES);
    let run = began.took();
    usenet.close().await;
    run
}

/// What the server and the loopback can do: every connection asks ahead and throws away.
async fn raw(address: SocketAddr, post: &Post) {
    let ids: VecDeque<String> = post.ids(0).into_iter().map(str::to_owned).collect();
    let ids = Arc::new(Mutex::new(ids));
    let all = (0..CONNECTIONS).map(|_| {
        let ids = ids.clone();
        tokio::spawn(async move {
            let mut stream =
                BufReader::with_capacity(128 << 10, TcpStream::connect(address).await.unwrap());
            stream.get_ref().set_nodelay(true).unwrap();
            let mut line = String::new();
            let hello = format!(
                "AUTHINFO USER {}\r\nAUTHINFO PASS {}\r\n",
                inn::USERNAME,
                inn::PASSWORD
            );
            stream.get_mut().write_all(hello.as_bytes()).await.unwrap();
            for _ in 0..3 {
                stream.read_line(&mut line).await.unwrap();
            }
            let mut outstanding = 0;
            let mut tail = [0_u8; 5];
            let mut buffer = vec![0; 128 << 10];
            loop {
                while outstanding < DEPTH {
                    let Some(id) = ids.lock().unwrap().pop_front() else {
                        break;
                    };
                    stream
                        .get_mut()
                        .write_all(format!("BODY <{id}>\r\n").as_bytes())
                        .await
                        .unwrap();
                    outstanding += 1;
                }
                if outstanding == 0 {
                    break;
                }
                let len = stream.read(&mut buffer).await.unwrap();
                assert!(len > 0);
                outstanding -= ends(&mut tail, &buffer[..len]);
            }
        })
    });
    for done in all.collect::<Vec<_>>() {
        done.await.unwrap();
    }
}

/// Terminating lines in what came, the one that began before included.
fn ends(tail: &mut [u8; 5], bytes: &[u8]) -> usize {
    const END: &[u8] = b"\r\n.\r\n";
    let seam = [&tail[1..], &bytes[..bytes.len().min(4)]].concat();
    let across = seam.windows(5).filter(|window| *window == END).count();
    let mut found = across;
    let mut at = 0;
    while let Some(dot) = bytes[at..].iter().position(|&byte| byte == b'.') {
        at += dot + 1;
        if at >= 3 && bytes.len() >= at + 2 && &bytes[at - 3..at + 2] == END {
            found += 1;
        }
    }
    let last = bytes.len().saturating_sub(5);
    let joined = [&tail[..], &bytes[last..]].concat();
    tail.copy_from_slice(&joined[joined.len() - 5..]);
    found
}

/// The first megabyte at random places, over a line of 40 ms.
async fn seeks(inn: &Inn, nzb: &str) {
    let proxy = Proxy::start(inn.address(), Duration::from_millis(40))
        .await
        .unwrap();
    let provider = account(proxy.address().port(), None);
    let (usenet, file) = mount(nzb, provider).await;
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    let places = usize::try_from(file.size() - (1 << 20)).unwrap();
    for place in testkit::noise::ranges(places, 1, SEEKS) {
        let at = place.start as u64;
        let began = Instant::now();
        let mut reader = file.read(at..at + (1 << 20));
        reader.next().await.unwrap().unwrap();
        first.push(began.elapsed().as_secs_f64() * 1000.0);
        while let Some(piece) = reader.next().await {
            piece.unwrap();
        }
        whole.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let p50 = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "{SEEKS} seeks of 1 MiB over a line of 40 ms: first byte after {:.0} ms, all of it after {:.0} ms (medians).\n",
        p50(&mut first),
        p50(&mut whole)
    );
    usenet.close().await;
}
