//! What channels take of memory beyond the segments that they keep.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use testkit::http::Client;
use testkit::{Origin, Player, Spec, Watch};

use crate::pinned::Server;

const CHANNELS: [usize; 2] = [1, 20];
/// Until as much is kept as ever will be: the window, and once more until what left it is forgotten.
const FULL: Duration = Duration::from_secs(60);
const MB: f64 = 1e6;

struct Gateway {
    server: Server,
    idle: f64,
    _origins: Vec<Origin>,
    _viewers: Vec<Player>,
}

pub(crate) async fn run() -> anyhow::Result<String> {
    eprintln!("memory, {} s", FULL.as_secs());
    let mut gateways = Vec::new();
    for channels in CHANNELS {
        gateways.push(start(channels).await?);
    }
    tokio::time::sleep(FULL).await;
    let mut table = String::from(
        "### Memory\n\nAfter a minute, one viewer a channel. Goal: 10 MB a channel beside its segments.\n\n\
         | channels | MB | before the first viewer | segments kept | else, a channel |\n\
         |--:|--:|--:|--:|--:|\n",
    );
    for (gateway, channels) in gateways.iter().zip(CHANNELS) {
        let (kept, ring) = (gateway.server.memory()?, ring(&gateway.server).await?);
        let rest = (kept - gateway.idle - ring) / channels as f64;
        let _ = writeln!(
            table,
            "| {channels} | {:.1} | {:.1} | {:.1} | {:.2} |",
            kept / MB,
            gateway.idle / MB,
            ring / MB,
            rest / MB
        );
    }
    Ok(table)
}

async fn start(channels: usize) -> anyhow::Result<Gateway> {
    let (mut origins, mut configuration) = (Vec::new(), String::new());
    for channel in 0..channels {
        let origin = Origin::start(Spec::default()).await?;
        let source = origin.url();
        let _ = writeln!(
            configuration,
            "[[channel]]\nid = \"c{channel}\"\n[[channel.source]]\nurl = \"{source}\""
        );
        origins.push(origin);
    }
    let server = Server::serve(&configuration).await?;
    let idle = server.memory()?;
    let viewers = (0..channels)
        .map(|channel| {
            Player::start(Watch::new(
                server.url(&format!("live/c{channel}/index.m3u8")),
            ))
        })
        .collect();
    Ok(Gateway {
        server,
        idle,
        _origins: origins,
        _viewers: viewers,
    })
}

/// Bytes of all segments kept.
async fn ring(server: &Server) -> anyhow::Result<f64> {
    let answer = Client::new(Duration::from_secs(10))
        .get(&server.url("metrics"))
        .await?;
    let text = String::from_utf8_lossy(&answer.body);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("perennial_channel_ring_bytes{"));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    values
        .sum::<Result<f64, _>>()
        .context("reading perennial_channel_ring_bytes")
}
