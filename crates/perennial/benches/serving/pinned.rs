//! Servers that have a core to themselves, and what they cost.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tempfile::TempDir;
use testkit::http::Client;
use testkit::{free_port, wait_until};
use url::Url;

pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const OTHERS_CORE: &str = "1";

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// A process on the server's core, with a folder of its own; killed when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// `perennial live` of one channel `c1`, not yet listening.
    pub(crate) fn live(source: &Url) -> anyhow::Result<Self> {
        let port = free_port()?;
        let arguments = format!("live -c c1 -u {source} -p {port}");
        Self::spawn(
            env!("CARGO_BIN_EXE_perennial"),
            &arguments,
            port,
            tempfile::tempdir()?,
        )
    }

    /// `perennial serve` with a configuration, but for where it listens.
    pub(crate) async fn serve(configuration: &str) -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir()?);
        let text = format!("version = 1\nserver.listen = \"127.0.0.1:{port}\"\n{configuration}");
        fs::write(folder.path().join("perennial.toml"), text)?;
        let server = Self::spawn(env!("CARGO_BIN_EXE_perennial"), "serve", port, folder)?;
        server.answers("healthz").await?;
        Ok(server)
    }

    /// nginx with one worker, serving the files of its folder the fastest way it has, and below `/bucket/`
    /// what `store` answers.
    pub(crate) async fn nginx(store: Option<&Url>) -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, tempfile::tempdir()?);
        fs::write(
            folder.path().join("nginx.conf"),
            nginx_conf(port, folder.path(), store),
        )?;
        fs::write(folder.path().join("healthz"), "ok\n")?;
        let place = folder.path().display();
        let arguments = format!("-p {place} -c {place}/nginx.conf -e {place}/error.log");
        let server = Self::spawn("/usr/sbin/nginx", &arguments, port, folder)?;
        server.answers("healthz").await?;
        Ok(server)
    }

    fn spawn(program: &str, arguments: &str, port: u16, folder: TempDir) -> anyhow::Result<Self> {
        let log = File::create(folder.path().join("log"))?;
        // taskset becomes the program: the process is one and the same.
        let child = Command::new("taskset")
            .args(["-c", SERVER_CORE, program])
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {program} under taskset"))?;
        Ok(Self {
            child,
            port,
            folder,
        })
    }

    /// The URL of a path without its first slash.
    pub(crate) fn url(&self, path: &str) -> Url {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        url.parse().expect("an address and a path make a URL")
    }

    /// Waits until `path` is answered with 200.
    pub(crate) async fn answers(&self, path: &str) -> anyhow::Result<()> {
        let (client, url) = (Client::new(ANSWERS_WITHIN), self.url(path));
        let waited = wait_until(ANSWERS_WITHIN, "the server's first answer", async || {
            let answer = client.get(&url).await.ok()?;
            (answer.status == 200).then_some(())
        });
        waited.await.map_err(|error| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            anyhow!("{error}: {log}")
        })
    }

    /// The folder, which nginx serves.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// CPU time so far, of the process and of children that have ended.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        /// Linux counts these in hundredths of a second on every machine.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold spaces. Fields 14 to 17 of proc(5) are user and system time.
        let (_, fields) = stat.rsplit_once(')').context("reading /proc/PID/stat")?;
        let times = fields.split_whitespace().skip(11).take(4);
        let ticks: u32 = times.map(|ticks| ticks.parse().unwrap_or(0)).sum();
        Ok(TICK * ticks)
    }

    /// Memory that it keeps, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        Ok(testkit::memory::kept(self.child.id())? as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nginx_conf(port: u16, folder: &Path, store: Option<&Url>) -> String {
    let folder = folder.display();
    let (upstream, location) = store.map(passed_on).unwrap_or_default();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/tmp; "))
        .collect();
    // One process does all the work, as one worker would.
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;
events {{ worker_connections 2048; }}
http {{
    {temporary}
    access_log off;
    sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_requests 100000000;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    {upstream}
    server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}; {location} }}
}}
"
    )
}

/// Over connections that stay open.
fn passed_on(store: &Url) -> (String, &'static str) {
    let upstream = format!(
        "upstream store {{ server {}; keepalive 64; }}",
        store.authority()
    );
    let location = "location /bucket/ { proxy_pass http://store; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
    (upstream, location)
}
