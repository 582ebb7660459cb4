//! From nothing to a picture: process start, and a cold channel's first playlist.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use testkit::http::Client;
use testkit::{Origin, Spec};
use tokio::net::TcpStream;
use url::Url;

use crate::median;
use crate::pinned::Server;

const STARTS: usize = 20;
const WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_micros(500);

pub(crate) async fn run() -> anyhow::Result<String> {
    let origin = Origin::start(Spec::default()).await?;
    let (mut starts, mut colds, mut directs) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..STARTS {
        eprint!("\rcold start {}   ", start + 1);
        let began = Instant::now();
        let server = Server::live(&origin.url())?;
        listens(&server.url("")).await?;
        server.answers("healthz").await?;
        starts.push(millis(began));

        let began = Instant::now();
        let playlist = server.url("live/c1/index.m3u8");
        let answer = Client::new(WITHIN).get(&playlist).await?;
        colds.push(millis(began));
        ensure!(
            newest(&answer.body).is_some(),
            "no segment in the first playlist"
        );

        let began = Instant::now();
        direct(&origin.url()).await?;
        directs.push(millis(began));
    }
    eprintln!();
    let (start, cold, direct) = (median(starts), median(colds), median(directs));
    Ok(format!(
        "### Starting\n\nMedians of {STARTS} starts of the process.\n\n| | ms | goal |\n|---|--:|--:|\n\
         | process start → first answer of `/healthz` | {start:.0} | 200 |\n\
         | the source's playlist and newest segment, fetched directly | {direct:.1} | |\n\
         | cold channel: request → first playlist with segments | {cold:.1} | {:.1}{} |\n",
        direct + 50.0,
        if cold > direct + 50.0 {
            " (missed)"
        } else {
            ""
        }
    ))
}

/// What no gateway can be faster than.
async fn direct(source: &Url) -> anyhow::Result<()> {
    let client = Client::new(WITHIN);
    let playlist = client.get(source).await?;
    let segment = newest(&playlist.body).context("no segment in the source's playlist")?;
    client.get(&source.join(&segment)?).await?;
    Ok(())
}

fn newest(playlist: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(playlist);
    let uri = text.lines().rfind(|line| !line.starts_with('#'));
    uri.map(str::to_owned)
}

/// Asks more often than a test would.
async fn listens(url: &Url) -> anyhow::Result<()> {
    let address = url.socket_addrs(|| None)?;
    let asked = async {
        while TcpStream::connect(&address[..]).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(WITHIN, asked)
        .await
        .context("perennial does not listen")
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
