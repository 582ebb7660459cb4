//! Ten channels whose sources fail again and again: memory and tasks stay as they are, and no number is
//! wrong. Short here; `make soak` runs it for as long as it is told.

mod e2e;

use std::time::Duration;

use e2e::{Gateway, LATE, channel, until_played};
use futures_util::future::join_all;
use testkit::stream::{Listening, Pace};
use testkit::{Clip, Fault, Origin, Player, Report, Spec};
use tokio::time::Instant;

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

const CHANNELS: usize = 10;
/// A short window, so that memory is as it will be after a minute.
const LIVE: &str = "[live]\nwindow_segments = 4\nretain_segments = 6\n";
const WARM_UP: Duration = Duration::from_secs(50);
/// What comes and goes: connections, and segments of two sources at once.
const MEMORY_SLACK_MIB: u64 = 24;
const TASKS_SLACK: u64 = 60;

/// Good enough to choose a fault, and the same from the same seed (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides
    }
}

struct Scene {
    name: String,
    sources: [Origin; 2],
}

impl Scene {
    async fn set(index: usize) -> Self {
        let origin = async |clip| {
            let spec = Spec {
                clip,
                ..Spec::default()
            };
            Origin::start(spec).await.expect("an origin starts")
        };
        Self {
            name: format!("c{index}"),
            sources: [origin(Clip::A).await, origin(Clip::B).await],
        }
    }

    /// Breaks what is on air and mends the other.
    async fn turn(&self, gateway: &Gateway, fault: Fault) {
        let on_air = gateway.channel(&self.name).await["source"]["index"].as_u64();
        for (index, source) in (0..).zip(&self.sources) {
            source.set_fault((on_air == Some(index)).then_some(fault));
        }
    }
}

/// The metric of the whole process.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// What no failure excuses.
fn broken(name: &str, report: &Report) -> Vec<String> {
    let mut broken: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    broken.extend(report.lost.iter().map(|lost| format!("lost {lost:?}")));
    if !report.repeated.is_empty() || report.rewinds > 0 {
        broken.push(format!(
            "repeated {:?}, {} rewinds",
            report.repeated, report.rewinds
        ));
    }
    for statuses in [&report.playlist_statuses, &report.segment_statuses] {
        if statuses.keys().any(|status| *status != 200) {
            broken.push(format!("statuses {statuses:?}"));
        }
    }
    let mut numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    numbers.extend(&report.gaps);
    numbers.sort_unstable();
    if let Some(hole) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        broken.push(format!("numbers {hole:?}"));
    }
    broken
        .into_iter()
        .map(|what| format!("{name}: {what}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_channels_with_random_faults() {
    let length = Duration::from_secs(number("PERENNIAL_SOAK_SECONDS", 80));
    let every = Duration::from_secs(number("PERENNIAL_FAULT_SECONDS", 10));
    let seed = number("PERENNIAL_SEED", 1);
    println!("PERENNIAL_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // An end that was announced is no failure. What a body without end costs is measured elsewhere.
    let left_out = [Fault::EndList, Fault::Endless, Fault::GzipBomb];
    let faults: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| !left_out.contains(fault))
        .collect();

    let scenes = join_all((0..CHANNELS).map(Scene::set)).await;
    let config: String = scenes
        .iter()
        .map(|scene| {
            channel(
                &scene.name,
                &[&scene.sources[0].url(), &scene.sources[1].url()],
            )
        })
        .collect();
    let gateway = Gateway::serve(&(LIVE.to_owned() + &config)).await;
    let players = join_all(scenes.iter().map(async |scene| {
        let player = gateway
            .player(&format!("/live/{}/index.m3u8", scene.name))
            .await;
        until_played(&player, 4).await;
        player
    }));
    let players = players.await;
    let listening = scenes
        .iter()
        .map(|scene| gateway.url(&format!("/live/{}.ts", scene.name)));
    let listening: Vec<_> = listening
        .map(|url| Listening::start(&url, Pace::Free))
        .collect();

    let began = Instant::now();
    let mut turns = tokio::time::interval(every);
    let (mut warm, mut count) = (None, 0);
    while began.elapsed() < length {
        turns.tick().await;
        for scene in &scenes {
            let fault = faults[dice.throw(faults.len())];
            scene.turn(&gateway, fault).await;
            count += 1;
        }
        let now = (
            gateway.memory_now_mib(),
            metric(&gateway, "perennial_tasks").await,
        );
        println!(
            "{:>5} s: {} MiB, {} tasks",
            began.elapsed().as_secs(),
            now.0,
            now.1
        );
        if began.elapsed() >= WARM_UP {
            let (memory, tasks) = *warm.get_or_insert(now);
            assert!(
                now.0 <= memory + MEMORY_SLACK_MIB,
                "{now:?} from {:?}",
                (memory, tasks)
            );
            assert!(
                now.1 <= tasks + TASKS_SLACK,
                "{now:?} from {:?}",
                (memory, tasks)
            );
        }
    }
    for source in scenes.iter().flat_map(|scene| &scene.sources) {
        source.set_fault(None);
    }
    let so_far = players
        .iter()
        .map(|player| (player, player.report().segments.len() + 4));
    join_all(
        so_far.map(async |(player, enough)| e2e::until_played_within(LATE, player, enough).await),
    )
    .await;
    let mut problems = Vec::new();
    for ((scene, player), listening) in scenes.iter().zip(players).zip(listening) {
        let (report, heard) = (Player::stop(player), listening.stop());
        let stalled: Duration = report.stalls.iter().map(|stall| stall.lasted).sum();
        println!(
            "{}: {} segments, {} gaps, {} discontinuities, {} stalls of {stalled:.1?} in all",
            scene.name,
            report.segments.len(),
            report.gaps.len(),
            report.discontinuities().len(),
            report.stalls.len()
        );
        problems.extend(broken(&scene.name, &report));
        problems.extend(
            heard
                .problems()
                .into_iter()
                .map(|wrong| format!("{}.ts: {wrong}", scene.name)),
        );
    }
    println!("{count} faults");
    assert!(problems.is_empty(), "{problems:#?}");
}
