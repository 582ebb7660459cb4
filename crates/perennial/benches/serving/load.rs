//! Requests as fast as wrk can send them: Perennial beside nginx with the same bytes.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use testkit::http::Client;
use testkit::{Origin, Spec};
use tokio::process::Command;
use url::Url;

use crate::median;
use crate::pinned::Server;

/// Of the clips' bit rate this makes about 170 kB.
const SEGMENT: Duration = Duration::from_secs(6);
const CONNECTIONS: [u32; 3] = [1, 50, 500];
const ROUNDS: usize = 3;
const SECONDS: u32 = 3;
const GOAL: f64 = 0.8;

/// Numbers that wrk knows exactly and rounds when it prints them itself.
pub(crate) const WRK_SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

/// One run of wrk.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
    p50_ms: f64,
    p99_ms: f64,
    pub(crate) cpu_s: f64,
}

pub(crate) async fn run() -> anyhow::Result<String> {
    let spec = Spec {
        segment: SEGMENT,
        ..Spec::default()
    };
    let origin = Origin::start(spec).await?;
    let perennial = Server::live(&origin.url())?;
    perennial.answers("healthz").await?;
    let nginx = Server::nginx(None).await?;
    let script = nginx.folder().join("wrk.lua");
    std::fs::write(&script, WRK_SCRIPT)?;

    let mut table = String::from(
        "| | connections | | requests/s | MB/s | CPU µs/request | CPU s/GB | p50 ms | p99 ms | per CPU-second |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut sizes = String::new();
    for target in ["playlist", "segment"] {
        for connections in CONNECTIONS {
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                eprint!(
                    "\r{target}, {connections} connections, round {}   ",
                    round + 1
                );
                let (here, there, size) = same_bytes(&perennial, &nginx, target).await?;
                sizes = format!("{sizes}{target} {size} bytes;");
                theirs.push(wrk(&nginx, &there, connections, &script).await?);
                ours.push(wrk(&perennial, &here, connections, &script).await?);
            }
            let ratio = rate_per_cpu(&ours) / rate_per_cpu(&theirs);
            let missed = if ratio < GOAL { " (missed)" } else { "" };
            row(
                &mut table,
                &format!("| {target} | {connections} | nginx"),
                &theirs,
                "1",
            );
            row(
                &mut table,
                "| | | Perennial",
                &ours,
                &format!("**{ratio:.2}×**{missed}"),
            );
        }
    }
    eprintln!();
    let segment = sizes.split(';').rfind(|size| size.starts_with("segment"));
    Ok(format!(
        "### Serving\n\nMedians of {ROUNDS} runs of {SECONDS} s, nginx and Perennial in turn; {}, a playlist of 12. Goal: {GOAL}× \
         nginx's requests per CPU-second.\n\n{table}",
        segment.unwrap_or_default()
    ))
}

/// Takes what Perennial serves now, gives it to nginx as a file, and makes sure that both answer alike.
async fn same_bytes(
    perennial: &Server,
    nginx: &Server,
    target: &str,
) -> anyhow::Result<(Url, Url, usize)> {
    let client = Client::new(Duration::from_secs(10));
    let playlist = perennial.url("live/c1/index.m3u8");
    let text = client.get(&playlist).await?;
    let (here, there) = if target == "playlist" {
        (playlist, nginx.url("index.m3u8"))
    } else {
        let text = String::from_utf8_lossy(&text.body).into_owned();
        let newest = text.lines().rfind(|line| line.ends_with(".ts"));
        let newest = newest.with_context(|| format!("no segment in {text}"))?;
        (playlist.join(newest)?, nginx.url("segment.ts"))
    };
    let body = client.get(&here).await?.body;
    std::fs::write(nginx.folder().join(&there.path()[1..]), &body)?;
    ensure!(
        client.get(&there).await?.body == body,
        "nginx serves something else"
    );
    Ok((here, there, body.len()))
}

pub(crate) async fn wrk(
    server: &Server,
    url: &Url,
    connections: u32,
    script: &Path,
) -> anyhow::Result<Run> {
    let before = server.cpu()?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s")])
        .arg("-s")
        .arg(script)
        .arg(url.as_str())
        .output()
        .await
        .context("starting wrk: scripts/install.sh bench")?;
    let cpu = server.cpu()? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers: Vec<f64> = line
        .with_context(|| format!("wrk said: {text}"))?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, bytes, micros, errors, p50, p99] = numbers[..] else {
        anyhow::bail!("wrk said: {text}");
    };
    ensure!(
        errors == 0.0 && requests > 0.0,
        "{url}: {errors} errors of {requests}"
    );
    Ok(Run {
        requests,
        bytes,
        seconds: micros / 1e6,
        p50_ms: p50 / 1e3,
        p99_ms: p99 / 1e3,
        cpu_s: cpu.as_secs_f64(),
    })
}

fn rate_per_cpu(runs: &[Run]) -> f64 {
    over(runs, |run| run.requests / run.cpu_s)
}

pub(crate) fn over(runs: &[Run], value: impl Fn(&Run) -> f64) -> f64 {
    median(runs.iter().map(value).collect())
}

fn row(table: &mut String, head: &str, runs: &[Run], ratio: &str) {
    let _ = writeln!(
        table,
        "{head} | {:.0} | {:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {ratio} |",
        over(runs, |run| run.requests / run.seconds),
        over(runs, |run| run.bytes / run.seconds / 1e6),
        over(runs, |run| run.cpu_s / run.requests * 1e6),
        over(runs, |run| run.cpu_s / (run.bytes / 1e9)),
        over(runs, |run| run.p50_ms),
        over(runs, |run| run.p99_ms),
    );
}
