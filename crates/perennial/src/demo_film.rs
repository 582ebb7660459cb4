//! The demo's private library: a film made of the clips at start, in a folder of its own that goes with
//! the demo, played by a grant and by a share link.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use grant::{Order, Subject};
use server::ShareOptions;
use testkit::{Clip, GOP};
use vod::{Kind, NewAsset, Segments};

use crate::app::Gateway;
use crate::config::{Library, LibraryPlace};

/// The folder, removed when this is dropped.
pub(crate) struct Film(PathBuf);

/// Where the film plays.
pub(crate) struct Links {
    /// A playlist with a grant in its path.
    pub(crate) grant: String,
    /// A page.
    pub(crate) share: String,
}

const LIBRARY: &str = "demo";
const SEGMENTS: u64 = 15;
const GROUPS_EACH: u64 = 2;

impl Film {
    /// Writes the film: a minute in two parts of a prefix.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("perennial-demo-{}", std::process::id()));
        let film = Self(folder);
        film.write()
            .with_context(|| format!("writing the demo's film to {}", film.0.display()))?;
        Ok(film)
    }

    /// The library that it lies in.
    pub(crate) fn library(&self) -> Library {
        Library {
            id: LIBRARY.to_owned(),
            place: LibraryPlace::Dir(self.0.clone()),
            segments: Segments::Tunnel,
            presign_ttl: Duration::from_secs(300),
        }
    }

    /// Registers it, and makes a grant and a share link.
    pub(crate) async fn links(&self, gateway: &Gateway) -> anyhow::Result<Links> {
        let film = NewAsset {
            library: LIBRARY.to_owned(),
            kind: Kind::Video,
            processed_key: None,
            prefix: Some("film".to_owned()),
            raw_key: None,
            name: "A private film".to_owned(),
            download_name: None,
            slug: Some("film".to_owned()),
        };
        let asset = gateway.vod.add(film).await?;
        let now_ms = gateway.vod.now_ms();
        let gate = gateway.grants.gate();
        let order = Order::play(gate.basis(Subject::Asset(asset.id), None));
        let minted = gate.mint(order, now_ms);
        let (_, grant) = minted.context("no grant can be signed")?;
        let id = asset.id.to_string();
        let options = ShareOptions {
            title: "A private film".to_owned(),
            ..ShareOptions::default()
        };
        let token = server::create_share(&gateway.store, &id, options, now_ms).await;
        let token = token.map_err(anyhow::Error::msg)?;
        Ok(Links {
            grant: format!("/vod/{id}/{grant}/master.m3u8"),
            share: format!("/share/{}", token.expose()),
        })
    }

    fn write(&self) -> std::io::Result<()> {
        let folder = self.0.join("film");
        std::fs::create_dir_all(folder.join("v0"))?;
        let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000\nv0/index.m3u8\n";
        std::fs::write(folder.join("master.m3u8"), master)?;
        let seconds = GOP.as_secs() * GROUPS_EACH;
        let mut media =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:{seconds}\n#EXT-X-PLAYLIST-TYPE:VOD\n");
        for n in 0..SEGMENTS {
            let _ = writeln!(media, "#EXTINF:{seconds},\n{n}.ts");
            let bytes = Clip::B.stream(n * GROUPS_EACH, GROUPS_EACH);
            std::fs::write(folder.join("v0").join(format!("{n}.ts")), bytes)?;
        }
        media.push_str("#EXT-X-ENDLIST\n");
        std::fs::write(folder.join("v0/index.m3u8"), media)
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        // What cannot be removed lies where the system removes it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
