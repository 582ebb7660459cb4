//! A private library: bytes through the tunnel beside nginx's `proxy_pass` from the same store, and
//! playlists.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use testkit::gear::Nginx;
use url::Url;

use crate::load::{Run, WRK_SCRIPT, over, wrk};
use crate::pinned::Server;

const SEGMENT_BYTES: usize = 1 << 20;
/// More than the tunnel keeps in memory.
const SEGMENTS: usize = 400;
/// Four hours in segments of four seconds.
const PLAYLIST_SEGMENTS: usize = 3600;
const CONNECTIONS: u32 = 20;
const ROUNDS: usize = 3;
const GOAL: f64 = 0.8;

pub(crate) async fn run() -> anyhow::Result<String> {
    let store = Store::new().await?;
    let nginx = Server::nginx(Some(&store.url())).await?;
    let perennial = Server::serve(&store.configuration()).await?;
    let path = perennial.film()?;
    let ours = perennial.url(&path);
    let theirs = nginx.url("bucket/film/");
    let folder = nginx.folder();
    let once = folder.join("once.lua");
    std::fs::write(&once, WRK_SCRIPT)?;
    let cycle = folder.join("cycle.lua");
    let mut text = format!(
        "### Private libraries\n\nMedians of {ROUNDS} runs at {CONNECTIONS} connections; segments of {} KiB. Goal: {GOAL}× the MB/s per CPU-second of nginx's \
         `proxy_pass` from the same store. *All in turn* is more than the tunnel keeps, *one* is kept.\n\n\
         | | | MB/s | MB/s per CPU-second | |\n|---|---|--:|--:|--:|\n",
        SEGMENT_BYTES >> 10
    );
    for name in ["all in turn", "one"] {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            eprint!("\rtunnel, {name}, round {}   ", round + 1);
            for (server, url, runs) in [
                (&nginx, &theirs, &mut there),
                (&perennial, &ours, &mut here),
            ] {
                let script = match name {
                    "one" => &once,
                    _ => {
                        std::fs::write(&cycle, in_turn(url))?;
                        &cycle
                    }
                };
                runs.push(wrk(server, &url.join("0.ts")?, CONNECTIONS, script).await?);
            }
        }
        let ratio = per_cpu(&here) / per_cpu(&there);
        let missed = if ratio < GOAL { " (missed)" } else { "" };
        for (who, runs, ratio) in [
            (format!("{name} | nginx"), &there, "1".to_owned()),
            (
                "| Perennial".to_owned(),
                &here,
                format!("**{ratio:.2}×**{missed}"),
            ),
        ] {
            let rate = over(runs, |run| run.bytes / run.seconds / 1e6);
            let _ = writeln!(
                text,
                "| {who} | {rate:.0} | {:.0} | {ratio} |",
                per_cpu(runs)
            );
        }
    }
    eprintln!();
    let list = ours.join("index.m3u8")?;
    let run = wrk(&perennial, &list, CONNECTIONS, &once).await?;
    let _ = writeln!(
        text,
        "\nA playlist of {PLAYLIST_SEGMENTS} segments, its grant checked each time: {:.0} a second, {:.0} CPU µs each.",
        run.requests / run.seconds,
        run.cpu_s / run.requests * 1e6
    );
    Ok(text)
}

fn per_cpu(runs: &[Run]) -> f64 {
    over(runs, |run| run.bytes / 1e6 / run.cpu_s)
}

/// A script that asks for one segment after the other.
fn in_turn(url: &Url) -> String {
    let path = url.path();
    format!(
        "local n = 0\nrequest = function()\n  n = (n + 1) % {SEGMENTS}\n  \
         return wrk.format(\"GET\", \"{path}\" .. n .. \".ts\")\nend\n{WRK_SCRIPT}"
    )
}

/// What holds the bucket, on the other core: nginx, which looks at no signature.
struct Store {
    folder: TempDir,
    nginx: Nginx,
}

impl Store {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let film = folder.path().join("root/bucket/film");
        std::fs::create_dir_all(&film)?;
        let segment = vec![0x47; SEGMENT_BYTES];
        for n in 0..SEGMENTS {
            std::fs::write(film.join(format!("{n}.ts")), &segment)?;
        }
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n";
        let list = (0..PLAYLIST_SEGMENTS).fold(head.to_owned(), |list, n| {
            format!("{list}#EXTINF:4.000,\n{}.ts\n", n % SEGMENTS)
        });
        std::fs::write(film.join("index.m3u8"), list + "#EXT-X-ENDLIST\n")?;
        let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2000000\nindex.m3u8\n";
        std::fs::write(film.join("master.m3u8"), master)?;
        for name in ["id", "secret"] {
            std::fs::write(folder.path().join(name), "bench")?;
        }
        let nginx = Nginx::start(&folder.path().join("root")).await?;
        Ok(Self { folder, nginx })
    }

    fn url(&self) -> Url {
        self.nginx.url("")
    }

    fn configuration(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "[[library]]\nid = \"media\"\nkind = \"s3\"\nendpoint = \"{}\"\nregion = \"auto\"\nbucket = \"bucket\"\n\
             path_style = true\nsegments = \"tunnel\"\naccess_key_id_file = \"{folder}/id\"\n\
             secret_access_key_file = \"{folder}/secret\"\n",
            self.url()
        )
    }
}

impl Server {
    /// Registers the film and makes a grant; the folder of its playlists, with a slash behind.
    fn film(&self) -> anyhow::Result<String> {
        command(
            self.folder(),
            "asset add media film --name Film --slug film",
        )?;
        let path = command(self.folder(), "grant mint --asset film")?;
        let path = path.trim().trim_start_matches('/');
        let folder = path.strip_suffix("master.m3u8");
        Ok(folder
            .with_context(|| format!("no path in {path}"))?
            .to_owned())
    }
}

/// What the command line says, beside the running gateway.
fn command(folder: &Path, arguments: &str) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_perennial"))
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
