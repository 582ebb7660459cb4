//! The gateway as a child process in a folder of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;
use tempfile::TempDir;
use testkit::checker::{PlaylistChecker, Promises, check_multivariant};
use testkit::http::{Client, Fetched};
use testkit::{Player, Watch, free_port, wait_until};
use url::Url;

use super::SOON;

/// The API key of every gateway with a configuration.
pub(crate) const KEY: &str = "e2e-key-that-no-log-may-show";
/// Ports to try: another program may take one between our finding it and the gateway's binding it.
const PORTS_TRIED: usize = 5;
const LOG_FILTER: &str = "info,hls=debug,live=debug,server=debug,fetch=debug,perennial=debug";
/// Of a log, in a failure's message.
const QUOTED_LINES: usize = 60;

/// A running gateway, or one that was killed and may be started again. It ends with its handle, and
/// then its log must not hold a panic nor its API key.
pub(crate) struct Gateway {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
    mode: Mode,
    client: Client,
    checkers: Mutex<BTreeMap<String, PlaylistChecker>>,
    began: Instant,
}

#[derive(PartialEq)]
enum Mode {
    /// `perennial serve` in an empty folder.
    Bare,
    /// `perennial serve` with `perennial.toml` and [`KEY`].
    Serve,
    /// `perennial live -c news` with these arguments.
    Live(Vec<String>),
}

/// A channel of the configuration.
pub(crate) fn channel(id: &str, sources: &[&Url]) -> String {
    let sources = sources
        .iter()
        .map(|url| format!("[[channel.source]]\nurl = \"{url}\"\n"));
    format!(
        "[[channel]]\nid = \"{id}\"\n{}",
        sources.collect::<String>()
    )
}

/// The program in `folder`, with nothing of our environment, and as few open files as a careless
/// service manager allows: it has to ask for more itself.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    let few_files = "ulimit -Sn 256 && exec \"$@\"";
    command.args(["-c", few_files, "sh", env!("CARGO_BIN_EXE_perennial")]);
    command.args(args).current_dir(folder).env_clear();
    command.stdin(Stdio::null());
    command
}

impl Gateway {
    /// `perennial serve` with this configuration (its `version` is added) and the API key [`KEY`].
    pub(crate) async fn serve(toml: &str) -> Self {
        let gateway = Self::new(Mode::Serve);
        gateway.configure(toml);
        fs::write(gateway.folder.path().join("key"), KEY).expect("the key is written");
        gateway.started().await
    }

    /// As [`Gateway::serve`], with these files beside the configuration.
    pub(crate) async fn serve_beside(toml: &str, files: &[(&str, &str)]) -> Self {
        let gateway = Self::new(Mode::Serve);
        gateway.configure(toml);
        for (name, text) in files.iter().chain(&[("key", KEY)]) {
            fs::write(gateway.folder.path().join(name), text).expect("a file is written");
        }
        gateway.started().await
    }

    /// `perennial serve` where nothing is.
    pub(crate) async fn bare() -> Self {
        Self::new(Mode::Bare).started().await
    }

    /// `perennial live -c news` with these sources.
    pub(crate) async fn live(sources: &[&Url]) -> Self {
        let urls = sources
            .iter()
            .flat_map(|url| ["-u".into(), url.to_string()]);
        Self::new(Mode::Live(urls.collect())).started().await
    }

    fn new(mode: Mode) -> Self {
        Self {
            child: None,
            port: 0,
            folder: TempDir::new().expect("a folder is made"),
            mode,
            client: Client::new(SOON),
            checkers: Mutex::default(),
            began: Instant::now(),
        }
    }

    async fn started(mut self) -> Self {
        for _ in 0..PORTS_TRIED {
            self.port = free_port().expect("a port is free");
            if self.start().await {
                return self;
            }
        }
        panic!("no port to listen on");
    }

    /// Writes the configuration file; a running gateway does not know until it is told.
    pub(crate) fn configure(&self, toml: &str) {
        let file = self.folder.path().join("perennial.toml");
        fs::write(file, format!("version = 1\n{toml}")).expect("the configuration is written");
    }

    /// Starts it, or starts it again on the same port and folder. False if the port is taken.
    pub(crate) async fn start(&mut self) -> bool {
        let listen = format!("127.0.0.1:{}", self.port);
        let port = self.port.to_string();
        let mut command = match &self.mode {
            Mode::Bare | Mode::Serve => command(self.folder.path(), &["serve"]),
            Mode::Live(urls) => {
                let mut command = command(self.folder.path(), &["live", "-c", "news", "-p", &port]);
                command.args(urls);
                command
            }
        };
        command.env("PERENNIAL_SERVER__LISTEN", &listen);
        if self.mode == Mode::Serve {
            command.env("PERENNIAL_AUTH__API_KEY_FILE", "key");
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file());
        let log = log.expect("the log is opened");
        command.stdout(log.try_clone().expect("a handle is copied"));
        command.stderr(log).env("RUST_LOG", LOG_FILTER);
        self.child = Some(command.spawn().expect("the program starts"));
        let answers = wait_until(SOON, "the gateway's answer", async || {
            if self.exited().is_some() {
                return Some(false);
            }
            let answer = self.client.get(&self.url("/healthz")).await.ok()?;
            (answer.status == 200).then_some(true)
        });
        match answers.await.expect("the gateway starts or ends") {
            true => true,
            false if self.log().contains("cannot listen") => false,
            false => panic!("the gateway ended: {:?}", self.exited()),
        }
    }

    /// Kills it and starts it again.
    pub(crate) async fn start_again(&mut self) -> bool {
        self.kill();
        self.start().await
    }

    /// Kills it as nothing can be refused: with `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("an own child can be killed");
            child.wait().expect("an own child is waited for");
        }
    }

    /// Sends it a signal: `TERM`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is installed").success(), "SIG{name}");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let ended = wait_until(within, "the gateway's end", async || self.exited()).await;
        let status = ended.unwrap_or_else(|late| panic!("{late}"));
        self.child = None;
        status
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("it was started");
        child.try_wait().expect("an own child can be asked")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// The most resident memory so far, in MiB; the memory files of segments are not in it.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    /// Memory that it keeps at this moment, segments included, in MiB.
    pub(crate) fn memory_now_mib(&self) -> u64 {
        testkit::memory::kept(self.pid()).expect("a running process has memory") >> 20
    }

    fn status_mib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("a status has {name}")) / 1024
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn log_file(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// All that it wrote.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        url.parse().expect("an address and a path make a URL")
    }

    /// A real player's view of `path`, held to what Perennial promises.
    pub(crate) fn watch(&self, path: &str) -> Watch {
        Watch::new(self.url(path))
    }

    /// Starts a player of a channel that somebody else watches already: its playlist lists what players hold
    /// back, unlike the first of a cold channel.
    pub(crate) async fn player(&self, path: &str) -> Player {
        let warm = wait_until(SOON, "three segments", async || {
            let playlist = self.playlist(path).await;
            (playlist.matches("#EXTINF:").count() >= 3).then_some(())
        });
        warm.await.unwrap_or_else(|late| panic!("{path}: {late}"));
        Player::start(self.watch(path))
    }

    /// Sends exactly this.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Fetched {
        let mut request = Request::builder()
            .method(method)
            .uri(self.url(path).as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request is built");
        let answer = self.client.exchange(request).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Fetched {
        self.send(Method::GET, path, &[], "").await
    }

    /// With the API key; a `body` is JSON.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &str) -> Fetched {
        let headers = [("x-api-key", KEY), ("content-type", "application/json")];
        self.send(method, path, &headers, body.to_owned()).await
    }

    /// `GET` with the API key, which must give JSON.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.admin(Method::GET, path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        serde_json::from_slice(&answer.body).expect("the API answers with JSON")
    }

    pub(crate) async fn channel(&self, id: &str) -> Value {
        self.json(&format!("/api/v1/channels/{id}")).await
    }

    /// Waits until `fact` is true of a channel.
    pub(crate) async fn until(
        &self,
        within: Duration,
        id: &str,
        what: &str,
        fact: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let waited = wait_until(within, what, async || {
            last = self.channel(id).await;
            fact(&last).then_some(())
        });
        let waited = waited.await;
        waited.unwrap_or_else(|late| panic!("channel {id}: {late}: {last:#}"));
        last
    }

    /// A playlist, judged by itself and after those of the same path before it.
    pub(crate) async fn playlist(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{path}: {text}");
        let promises = promises(path);
        if text.contains("#EXT-X-STREAM-INF") {
            let broken = check_multivariant(&answer.body, promises);
            assert!(broken.is_empty(), "{path}: {broken:?}\n{text}");
            return text;
        }
        let mut checkers = self.checkers.lock().unwrap_or_else(PoisonError::into_inner);
        let checker = checkers
            .entry(path.to_owned())
            .or_insert_with(|| PlaylistChecker::new(promises));
        checker.check(self.began.elapsed(), &answer.body);
        let broken = checker.violations();
        assert!(broken.is_empty(), "{path}: {broken:?}\n{text}");
        text
    }
}

/// The compatible playlist names its segments from the root, as its contract says.
fn promises(path: &str) -> Promises {
    Promises {
        relative_uris: !path.starts_with("/stream/"),
        ..Promises::PERENNIAL
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        let log = self.log();
        if std::thread::panicking() {
            let responses = |line: &&str| !line.contains("DEBUG response");
            let lines: Vec<_> = log.lines().filter(responses).collect();
            let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n");
            // The test has failed already: a message more or less.
            drop(writeln!(
                std::io::stderr(),
                "the gateway's log ends:\n{last}"
            ));
            return;
        }
        for word in ["panicked", KEY] {
            let line = log.lines().find(|line| line.contains(word));
            assert!(line.is_none(), "the gateway's log has {word:?}: {line:?}");
        }
    }
}
