//! The binary and a Chromium that plays what it serves: what the browser tests share.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests, of which each binary uses a part"
)]

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::wait_until;
use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

/// A started `perennial`, killed when dropped. Its working directory, and so its numbers, outlive
/// [`Gateway::restart`].
pub(crate) struct Gateway {
    child: Child,
    arguments: Vec<String>,
    address: String,
    folder: TempDir,
}

/// The API key of [`Gateway::serve`].
pub(crate) const KEY: &str = "browser-key-that-no-log-may-show";
const LISTENING: Duration = Duration::from_secs(10);
const SCENARIO: Duration = Duration::from_secs(240);
const LOG: &str = "perennial.log";

impl Gateway {
    /// `perennial demo`.
    pub(crate) async fn demo() -> Self {
        Self::start(vec!["demo".into()]).await
    }

    /// `perennial live` with a channel `c1` of these sources.
    pub(crate) async fn live(sources: &[&Url]) -> Self {
        let mut arguments = vec!["live".into(), "-c".into(), "c1".into()];
        for source in sources {
            arguments.extend(["-u".into(), source.to_string()]);
        }
        Self::start(arguments).await
    }

    /// `perennial serve` with these channels, each with its sources, and the API key [`KEY`].
    pub(crate) async fn serve(channels: &[(&str, &[&Url])]) -> Self {
        let source = |url: &&Url| format!("[[channel.source]]\nurl = \"{url}\"\n");
        let channels = channels.iter().map(|(id, sources)| {
            let sources = sources.iter().map(source).collect::<String>();
            format!("[[channel]]\nid = \"{id}\"\n{sources}")
        });
        Self::configured(&channels.collect::<String>()).await
    }

    /// `perennial serve` with this configuration and the API key [`KEY`].
    pub(crate) async fn configured(toml: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let toml = format!("version = 1\n{toml}");
        std::fs::write(folder.path().join("perennial.toml"), toml).unwrap();
        std::fs::write(folder.path().join("key"), KEY).unwrap();
        Self::start_in(folder, vec!["serve".into()]).await
    }

    async fn start(arguments: Vec<String>) -> Self {
        Self::start_in(TempDir::new().unwrap(), arguments).await
    }

    async fn start_in(folder: TempDir, arguments: Vec<String>) -> Self {
        let child = spawn(&arguments, "0", folder.path());
        let mut gateway = Self {
            child,
            arguments,
            address: String::new(),
            folder,
        };
        gateway.address = gateway.listening().await;
        gateway
    }

    /// Kills it with signal 9 and starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        self.child = spawn(&self.arguments, &port, self.folder.path());
        assert_eq!(self.listening().await, self.address);
    }

    /// Waits until the log tells the address.
    async fn listening(&mut self) -> String {
        let waited = wait_until(LISTENING, "perennial's listening", async || {
            let log = self.log();
            let (_, address) = log.split_once("http://127.0.0.1:")?;
            let digits = address.split(|c: char| !c.is_ascii_digit()).next()?;
            Some(format!("127.0.0.1:{digits}"))
        });
        waited
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// A URL of it; `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The playlist of `perennial live`'s channel.
    pub(crate) fn playlist(&self) -> String {
        self.url("/live/c1/index.m3u8")
    }

    /// What [`Play::action`] takes to change the channel's source.
    pub(crate) fn change_stream(&self, to: &Url) -> Value {
        serde_json::json!({"post": self.url("/change_stream/c1"), "json": {"url": to}})
    }

    /// What it said since it was started last.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

fn spawn(arguments: &[String], port: &str, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perennial"));
    command.args(arguments).current_dir(folder);
    if arguments[0] == "serve" {
        command.env("PERENNIAL_SERVER__LISTEN", format!("127.0.0.1:{port}"));
        command.env("PERENNIAL_AUTH__API_KEY_FILE", "key");
    } else {
        command.args(["-p", port]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join(LOG)).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Uses the watch page as a file of `e2e/scenarios` says; the key stays out of the log.
pub(crate) async fn use_page(name: &str, gateway: &Gateway) {
    scenario(name, gateway, KEY).await;
    let log = gateway.log();
    assert!(!log.contains(KEY), "the gateway's log tells the key");
}

/// What a viewer never wants to see, and a channel never causes.
pub(crate) const SMOOTH: &str =
    "played,no-stalls,no-fatal,no-reloads,no-http,no-console,audio_bytes>0,frames>0";

/// A run of `e2e/play.mjs`, whose head says what all this means.
pub(crate) struct Play {
    command: tokio::process::Command,
    actions: Vec<Value>,
}

impl Play {
    /// Plays a page or a playlist.
    pub(crate) fn of(url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/play.mjs");
        let mut command = tokio::process::Command::new("node");
        command.arg(script).arg(url).arg("--progress");
        Self {
            command,
            actions: Vec::new(),
        }
    }

    /// Plays another one beside it, in a tab of its own.
    pub(crate) fn and(mut self, url: &str) -> Self {
        self.command.arg(url);
        self
    }

    /// A further option.
    pub(crate) fn with(mut self, option: &str, value: impl fmt::Display) -> Self {
        self.command.args([option, &value.to_string()]);
        self
    }

    /// Something to do when those before it are done.
    pub(crate) fn then(mut self, action: Value) -> Self {
        self.actions.push(action);
        self
    }

    /// Something to do so many seconds after the picture moves.
    pub(crate) fn at(self, seconds: u32, mut action: Value) -> Self {
        action["at"] = seconds.into();
        self.then(action)
    }

    /// Plays to the end; fails unless all of `expect` holds.
    pub(crate) async fn run(self, expect: &str) -> Report {
        self.start(expect).finish().await
    }

    /// Begins to play.
    pub(crate) fn start(mut self, expect: &str) -> Playing {
        let actions = Value::Array(self.actions).to_string();
        let child = self
            .command
            .args(["--actions", &actions, "--expect", expect])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed: scripts/install.sh test");
        Playing { child }
    }
}

/// A browser that plays.
pub(crate) struct Playing {
    child: tokio::process::Child,
}

impl Playing {
    /// Waits until every tab has its picture.
    pub(crate) async fn has_picture(&mut self) {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        assert_eq!(line, r#"{"event":"playing","started":true}"#);
    }

    /// Waits for the end.
    pub(crate) async fn finish(self) -> Report {
        let output = self.child.wait_with_output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("node e2e/play.mjs (is e2e/node_modules there?): {errors}{text}")
        });
        assert!(output.status.success(), "{}\n{report:#}", report["failed"]);
        Report(report)
    }
}

/// What the browser saw.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

/// What is on a screen, told by its colour: one clip is blue, the other red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// [`testkit::Clip::A`].
    A,
    /// [`testkit::Clip::B`].
    B,
}

impl Report {
    /// The last picture of each tab.
    pub(crate) fn pictures(&self) -> Vec<Picture> {
        let colors = self.0["colors"].as_array().expect("a color for each tab");
        colors
            .iter()
            .map(|color| {
                let [red, blue] = [0, 2].map(|at| color[at].as_u64().expect("a color"));
                assert!(red.abs_diff(blue) > 40, "neither clip: {color}");
                if blue > red { Picture::A } else { Picture::B }
            })
            .collect()
    }
}

/// Plays a file of `e2e/scenarios` against a gateway; what was seen is printed.
pub(crate) async fn scenario(name: &str, gateway: &Gateway, key: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/page.mjs");
    let mut command = tokio::process::Command::new("node");
    command
        .arg(script)
        .args([name, &gateway.url("/"), "--key", key])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(SCENARIO, command.output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{name} takes longer than {SCENARIO:?}"))
        .expect("node is installed: scripts/install.sh test");
    let [seen, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{errors}{seen}");
    println!("{seen}");
}
