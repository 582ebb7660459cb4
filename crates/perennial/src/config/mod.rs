//! The configuration: TOML, overridden by environment variables, validated as a whole.
//!
//! [`Config::parse`] is pure: text and variables in, a [`Loaded`] or every error out, each with its
//! place. [`Config::load`] adds the reading of files. The command line carries no configuration.
//!
//! `schema` lists the keys, `reader` and `section` walk a document with it, `kind` checks the values.

mod kind;
mod library;
mod load;
mod node;
mod problem;
mod reader;
mod resolver;
mod schedules;
mod schema;
mod section;
mod setting;
#[cfg(test)]
mod tests;
mod usenet;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base::{ByteSize, Redacted};
use ipnet::IpNet;
use live::spec::ChannelSpec;
use resolve::ResolverSpec;
use schedule::ScheduleSpec;
use url::Url;

use node::Source;
use reader::{Reader, Walked};

pub use library::{Bucket, Grants, Issuer, Library, Place as LibraryPlace, Secret};
pub use load::environment;
pub use problem::{Errors, Place, Problem};
pub use setting::{Applies, Origin, PREFIX, Postponed, Setting, variable};
pub use usenet::{Newznab, Provider, Usenet, UsenetLibrary};

/// The validated configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[auth]`
    pub auth: Auth,
    /// `[live]`
    pub live: Live,
    /// `[grants]`
    pub grants: Grants,
    /// `[[account]]`, names unique.
    pub accounts: Vec<Account>,
    /// `[[resolver]]`, ids unique.
    pub resolvers: Vec<ResolverSpec>,
    /// `[[schedule]]`, ids unique.
    pub schedules: Vec<ScheduleSpec>,
    /// `[[channel]]`, ids unique, each with a source, accounts and resolvers known.
    pub channels: Vec<ChannelSpec>,
    /// `[[library]]`, ids unique.
    pub libraries: Vec<Library>,
    /// `[usenet]`
    pub usenet: Usenet,
}

/// `[server]`: where Perennial listens and keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// As players reach it, when behind a reverse proxy; no query.
    pub public_url: Option<Url>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Relative to the working directory.
    pub data_dir: PathBuf,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// `[server.tls]`: PEM files, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, leaf first.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// `[auth]`: who may watch and administer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What a player needs.
    pub viewers: Viewers,
    /// `viewers = "open"` beyond loopback is meant.
    pub allow_open: bool,
    /// The file of [`api_key`](Self::api_key).
    pub api_key_file: Option<PathBuf>,
    /// What the file holds, read by [`Config::load`]; `None`: a key is made at first start.
    pub api_key: Option<Redacted<String>>,
}

/// What a player needs in order to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewers {
    /// The URL.
    Open,
    /// A URL that carries a grant.
    Grant,
}

/// `[live]`: what holds for every channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Segments listed in the playlist.
    pub window_segments: u32,
    /// The least that stay fetchable.
    pub retain_segments: u32,
    /// Of one channel.
    pub buffer_bytes_max: ByteSize,
    /// Segments in the first playlist of a cold channel; at most `window_segments`.
    pub prime_segments: u32,
    /// How long the first request of a cold channel waits.
    pub start_timeout: Duration,
    /// From the last viewer's leaving to the end of fetching.
    pub idle_stop: Duration,
    /// Which variants of a multivariant source are offered.
    pub variants: Variants,
    /// Sent to sources that have none of their own.
    pub user_agent: String,
    /// Keep the next source ready beside the one on air.
    pub warm_standby: bool,
    /// Go back to a preferred source that was healthy for so long; `None`: never.
    pub return_after: Option<Duration>,
}

/// Which variants of a multivariant source are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variants {
    /// Each of them.
    All,
    /// The one of the highest bandwidth.
    Best,
    /// The one of the lowest bandwidth.
    Worst,
    /// Those of at most so many lines.
    UpTo(u32),
}

/// `[[account]]`: a provider that allows so many streams at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As sources name it.
    pub name: String,
    /// Streams at once, over all channels.
    pub max_streams: u32,
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Each key's value as it may be shown, its default and its origin, in the order of the file.
    pub settings: Vec<Setting>,
    /// What the user should know, though it is no error.
    pub warnings: Vec<Problem>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads `text`, the contents of the file `name`, under the environment variables `env`. Touches
    /// no file: `auth.api_key` stays empty.
    pub fn parse(
        name: &str,
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Errors> {
        Draft::of_file(name, text, env).finish()
    }

    /// The defaults under the environment variables `env`.
    pub fn without_file(env: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Errors> {
        Draft::without_file(env).finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        Draft::without_file([]).config
    }
}

/// Leaves the channels' sources out: their URLs and headers carry secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self
            .channels
            .iter()
            .map(|channel| channel.id.as_str())
            .collect();
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("auth", &self.auth)
            .field("live", &self.live)
            .field("accounts", &self.accounts)
            .field("resolvers", &self.resolvers)
            .field("schedules", &self.schedules)
            .field("channels", &ids)
            .field("grants", &self.grants)
            .field("libraries", &self.libraries)
            .field("usenet", &self.usenet)
            .finish()
    }
}

impl Server {
    /// Whether only this machine can reach the listener.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

impl Loaded {
    /// The effective configuration as TOML, secrets redacted, each value's origin in a comment.
    pub fn print(&self) -> String {
        setting::print(&self.settings)
    }

    /// The changes from `self`, with which Perennial started, to `newer` that a reload cannot take over.
    pub fn restart_needed(&self, newer: &Self) -> Vec<Postponed> {
        setting::postponed(&self.settings, &newer.settings, Applies::AtRestart)
    }

    /// The changes from `self`, the last that was read, to `newer` that only channels get which start later.
    pub fn channel_start_needed(&self, newer: &Self) -> Vec<Postponed> {
        setting::postponed(&self.settings, &newer.settings, Applies::AtChannelStart)
    }
}

/// A configuration whose problems may not be complete yet.
struct Draft<'t> {
    source: Option<Source<'t>>,
    config: Config,
    walked: Walked,
}

impl<'t> Draft<'t> {
    fn of_file(name: &str, text: &'t str, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let source = Source::new(name, text);
        let (members, syntax) = source.document();
        let mut reader = Reader::new(Some(&source), ours(env));
        let config = reader.read(Some(&members), schema::config);
        let walked = reader.finish(syntax);
        Self {
            source: Some(source),
            config,
            walked,
        }
    }

    fn without_file(env: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut reader = Reader::new(None, ours(env));
        let config = reader.read(None, schema::config);
        Self {
            source: None,
            config,
            walked: reader.finish(Vec::new()),
        }
    }

    fn finish(self) -> Result<Loaded, Errors> {
        let Walked {
            settings,
            warnings,
            problems,
        } = self.walked;
        if problems.is_empty() {
            Ok(Loaded {
                config: self.config,
                settings,
                warnings,
                file: None,
            })
        } else {
            Err(Errors::new(problems))
        }
    }
}

fn ours(env: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    env.into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}
