//! What the source is asked, however many watch.

use std::fmt::Write;
use std::time::Duration;

use testkit::{Origin, Player, Spec, Watch};

use crate::pinned::Server;

const VIEWERS: [usize; 3] = [1, 50, 500];
const SEGMENTS: usize = 8;
const WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn run() -> anyhow::Result<String> {
    let mut table = String::from(
        "### Upstream\n\n| viewers | requests per segment at the source | segments | stalls of all viewers | CPU |\n\
         |--:|--:|--:|--:|--:|\n",
    );
    for viewers in VIEWERS {
        eprint!("\r{viewers} viewers   ");
        let origin = Origin::start(Spec::default()).await?;
        let server = Server::live(&origin.url())?;
        server.answers("healthz").await?;
        let (cpu, began) = (server.cpu()?, tokio::time::Instant::now());
        let watch = Watch {
            check_removed: false,
            ..Watch::new(server.url("live/c1/index.m3u8"))
        };
        let players: Vec<_> = (0..viewers).map(|_| Player::start(watch.clone())).collect();
        for player in &players {
            let fact = |report: &testkit::Report| report.segments.len() >= SEGMENTS;
            player.until(WITHIN, "segments", fact).await?;
        }
        let share = (server.cpu()? - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        let stalls: usize = players
            .iter()
            .map(|player| player.report().stalls.len())
            .sum();
        let asked = origin.stats().by_segment;
        let requests: u64 = asked.values().sum();
        let _ = writeln!(
            table,
            "| {viewers} | {:.2} | {} | {stalls} | {:.1} % of a core |",
            requests as f64 / asked.len() as f64,
            asked.len(),
            share * 100.0
        );
    }
    eprintln!();
    Ok(table)
}
