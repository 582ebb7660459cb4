//! The demo's posts: a small film on a made-up Usenet server inside the process, once plain and once in RAR
//! volumes, mounted and played straight from their articles.

use anyhow::Context;
use testkit::nntp::{Post, Server, rar5};
use testkit::{Clip, mkv};
use usenet::{Submission, Usenet};

use crate::config::Provider;
use crate::usenet_settings::with_hint;

/// The server, which goes with the demo, and what is on it.
pub(crate) struct Posts {
    server: Server,
    posts: [(&'static str, Post); 2],
}

const CATEGORY: &str = "demo";
/// Of two seconds each: a minute.
const GROUPS: u64 = 30;
const ARTICLE_BYTES: usize = 64 << 10;
const VOLUME_BYTES: usize = 256 << 10;
const CONNECTIONS: u16 = 8;

impl Posts {
    /// Makes the films and posts them.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let plain = mkv::film(Clip::A, GROUPS);
        let packed = mkv::film(Clip::B, GROUPS);
        let volumes = rar5::volumes(&[("A film in RAR volumes.mkv", &packed)], VOLUME_BYTES);
        let names: Vec<_> = (1..=volumes.len())
            .map(|number| format!("film.part{number:02}.rar"))
            .collect();
        let files = names.iter().zip(&volumes);
        let files: Vec<(&str, &[u8])> = files.map(|(name, bytes)| (&**name, &**bytes)).collect();
        let posts = [
            (
                "A film from its articles",
                Post::new(
                    "plain",
                    &[("A film from its articles.mkv", &plain)],
                    ARTICLE_BYTES,
                ),
            ),
            (
                "A film in RAR volumes",
                Post::new("volumes", &files, ARTICLE_BYTES),
            ),
        ];
        let server = Server::start().await;
        let server = server.context("starting a made-up Usenet server")?;
        for (_, post) in &posts {
            server.add(post);
        }
        Ok(Self { server, posts })
    }

    /// The server as an account of the configuration.
    pub(crate) fn provider(&self) -> Provider {
        let address = self.server.address();
        Provider {
            host: address.ip().to_string(),
            port: address.port(),
            tls: false,
            username: String::new(),
            password: None,
            connections: CONNECTIONS,
            priority: 0,
            backup: false,
            storage_group: String::new(),
        }
    }

    /// Submits both.
    pub(crate) async fn mount(&self, engine: &Usenet) -> anyhow::Result<()> {
        for (name, post) in &self.posts {
            let submission = Submission {
                nzb: post.nzb().into(),
                name: (*name).to_owned(),
                category: CATEGORY.to_owned(),
                password: None,
            };
            engine.submit(submission).await.map_err(with_hint)?;
        }
        Ok(())
    }
}
