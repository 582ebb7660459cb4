//! The command line: what to do and with which file. Settings belong to the configuration, so none
//! can be given here and lost against the file.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Termination};

use base::{ChannelId, redact_url};
use clap::{Args, Parser, Subcommand};
use live::spec::{ChannelSpec, SourceSpec};
use url::Url;

const EXAMPLES: &str = "\
Begin with: perennial demo
Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration";

const LIVE_EXAMPLES: &str = "\
Examples:
  perennial live -u http://origin/live.m3u8 -c news
  perennial live -u http://a.example/x.m3u8 -u http://b.example/x.m3u8 -c sport
The channel plays at http://127.0.0.1:5000/live/news/index.m3u8";

const ASSET_EXAMPLES: &str = "\
Examples:
  perennial asset scan media --prefix processed/
  perennial asset add media processed/film/master.m3u8 --name Film --slug film
  perennial asset list trailer";

const SHARE_EXAMPLES: &str = "\
Examples:
  perennial share create film --expires-in-s 604800 --password-file pw.txt
  perennial share list film
  perennial share revoke TOKEN";

const GRANT_EXAMPLES: &str = "\
Examples:
  perennial grant mint --asset film
  perennial grant mint --channel '*' --until-revoked
  perennial grant revoke 0123456789abcdef01234567";

const KEY_EXAMPLES: &str = "\
Examples:
  perennial key create --label jellyfin
  perennial key list
  perennial key revoke f85350b8e7a8";

const SERVE_EXAMPLES: &str = "\
Examples:
  perennial serve
  perennial serve -c /etc/perennial/perennial.toml
  PERENNIAL_SERVER__LISTEN=127.0.0.1:9000 perennial serve";

const CHECK_EXAMPLE: &str = "\
Example:
  perennial check -c /etc/perennial/perennial.toml";

const DEMO_EXAMPLE: &str = "\
Example:
  perennial demo -p 9000";

const CONFIG_EXAMPLE: &str = "\
Example:
  perennial config print -c /etc/perennial/perennial.toml";

/// One stable URL for every stream, whatever happens to its sources.
#[derive(Debug, Parser)]
#[command(
    name = "perennial",
    version,
    override_usage = "perennial [-c <FILE>] | perennial <COMMAND>",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    file: ConfigFile,
}

impl Cli {
    /// What to do; without a verb, to serve.
    pub fn verb(self) -> Verb {
        self.verb.unwrap_or(Verb::Serve(self.file))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway (the default)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ConfigFile),
    /// Run one channel, without a configuration
    #[command(after_help = LIVE_EXAMPLES)]
    Live(LiveArgs),
    /// Run everything on made-up sources, with a page to break them
    #[command(after_help = DEMO_EXAMPLE)]
    Demo(DemoArgs),
    /// Validate the configuration, then probe every source
    #[command(after_help = CHECK_EXAMPLE)]
    Check(ConfigFile),
    /// Show the configuration
    #[command(subcommand, disable_help_subcommand = true, after_help = CONFIG_EXAMPLE)]
    Config(ConfigVerb),
    /// Register, list and find what lies in private libraries
    #[command(subcommand, disable_help_subcommand = true, after_help = ASSET_EXAMPLES)]
    Asset(AssetVerb),
    /// Make, list and revoke links to assets
    #[command(subcommand, disable_help_subcommand = true, after_help = SHARE_EXAMPLES)]
    Share(ShareVerb),
    /// Make and revoke grants: URLs that carry a permission
    #[command(subcommand, disable_help_subcommand = true, after_help = GRANT_EXAMPLES)]
    Grant(GrantVerb),
    /// Make, list and revoke API keys
    #[command(subcommand, disable_help_subcommand = true, after_help = KEY_EXAMPLES)]
    Key(KeyVerb),
}

/// The file that holds the configuration.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Default: ./perennial.toml if it exists, else built in
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// The file, if one was named.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// One channel, and where it is served.
#[derive(Args, Clone, PartialEq, Eq)]
pub struct LiveArgs {
    /// Source, http or https; give it again for fallbacks, in order
    #[arg(short = 'u', long = "url", value_name = "URL", required = true, value_parser = http_url)]
    urls: Vec<Url>,
    /// Name of the channel in its URL: a-z, 0-9, _ and -
    #[arg(short = 'c', long, value_name = "ID")]
    channel: ChannelId,
    /// Port to listen on
    #[arg(short = 'p', long, default_value_t = 5000)]
    pub port: u16,
    /// Address to listen on
    #[arg(short = 'H', long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub host: IpAddr,
    /// Sent to the sources in place of VLC's
    #[arg(long, value_name = "UA", value_parser = header_value)]
    user_agent: Option<String>,
    /// Log what happens to every segment
    #[arg(long)]
    pub debug: bool,
}

impl LiveArgs {
    /// The channel that the arguments describe.
    pub fn channel(&self) -> ChannelSpec {
        let source = |url: &Url| SourceSpec {
            url: url.clone(),
            headers: Vec::new(),
            user_agent: self.user_agent.clone().unwrap_or_default(),
            account: String::new(),
        };
        ChannelSpec {
            id: self.channel.clone(),
            title: String::new(),
            group: String::new(),
            logo: String::new(),
            tvg_id: String::new(),
            slate: String::new(),
            target_duration_s: 0,
            sources: self.urls.iter().map(source).collect(),
        }
    }
}

/// Keeps the sources' passwords and tokens out.
impl fmt::Debug for LiveArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(redact_url).collect();
        let Self {
            channel,
            port,
            host,
            user_agent,
            debug,
            ..
        } = self;
        f.debug_struct("LiveArgs")
            .field("urls", &urls)
            .field("channel", channel)
            .field("port", port)
            .field("host", host)
            .field("user_agent", user_agent)
            .field("debug", debug)
            .finish()
    }
}

/// Where the demo is served.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct DemoArgs {
    /// Port to listen on, on this machine only
    #[arg(short = 'p', long, default_value_t = 8080)]
    pub port: u16,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum ConfigVerb {
    /// Print what is in effect, secrets redacted, and where each value came from
    Print(ConfigFile),
}

/// What to do with API keys.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum KeyVerb {
    /// Make a key and print it, once
    Create {
        /// What the key is for
        #[arg(long)]
        label: Option<String>,
        /// Where the keys are kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List the keys: id, label, when made
    List(ConfigFile),
    /// End a key's life
    Revoke {
        /// The key's id, as `key list` prints it
        id: String,
        /// Where the keys are kept
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// What to do with assets.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum AssetVerb {
    /// Register an asset
    Add {
        /// The library's id
        library: String,
        /// Key of the file; of a video, its first playlist or the folder of it
        key: String,
        /// What people call it
        #[arg(long)]
        name: String,
        /// video, image or audio
        #[arg(long, default_value = "video", value_parser = ["video", "image", "audio"])]
        kind: String,
        /// A short name, unique
        #[arg(long)]
        slug: Option<String>,
        /// Key of the original, for downloads
        #[arg(long, value_name = "KEY")]
        raw_key: Option<String>,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List assets: id, library, kind, name, slug
    List {
        /// Part of the name
        query: Option<String>,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Register every master.m3u8 and every plain media file of a library
    Scan {
        /// The library's id
        library: String,
        /// Only what lies below
        #[arg(long, default_value = "")]
        prefix: String,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// What to do with shares.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum ShareVerb {
    /// Make a link to an asset and print it
    Create {
        /// The asset's id or slug
        asset: String,
        /// What its page says
        #[arg(long, default_value = "")]
        title: String,
        /// Ask for the password in this file, its first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// It ends so many seconds from now
        #[arg(long, value_name = "S")]
        expires_in_s: Option<u32>,
        /// Let viewers save the original
        #[arg(long)]
        allow_download: bool,
        /// How often it may be viewed; 0 for as often as one likes
        #[arg(long, default_value_t = 0)]
        max_views: u32,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List links: token, asset, views, title
    List {
        /// Only those of this asset, by id or slug
        asset: Option<String>,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Remove a link and end what came from it
    Revoke {
        /// The link's token
        #[arg(allow_hyphen_values = true)] // one in 64 begins with "-"
        token: String,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// What to do with grants.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub enum GrantVerb {
    /// Make a grant and print its path
    Mint {
        /// An asset's id or slug
        #[arg(long, conflicts_with = "channel", required_unless_present = "channel")]
        asset: Option<String>,
        /// A channel's id, or '*' for the list of all
        #[arg(long)]
        channel: Option<String>,
        /// For a device: good until it is revoked
        #[arg(long)]
        until_revoked: bool,
        /// Allow downloads too
        #[arg(long)]
        download: bool,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// End a grant
    Revoke {
        /// The grant's id, as it was printed when it was made
        id: String,
        /// Where state is kept
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Sign with a new key; grants of the last three stay good
    Rotate(ConfigFile),
}

/// How the process ends. Usage errors (2) are clap's to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Done,
    /// What was asked for could not be done.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// The configuration is wrong: `EX_CONFIG` of sysexits.
    Configuration,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 78,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.code().into()
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    const CURE: &str = "give an address that begins with http:// or https://";
    let url: Url = text.parse().map_err(|error| format!("{error}; {CURE}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(CURE.to_owned())
    }
}

fn header_value(text: &str) -> Result<String, String> {
    match http::HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("give one line, without control characters".to_owned()),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let text = if text == "localhost" {
        "127.0.0.1"
    } else {
        text
    };
    text.parse()
        .map_err(|_| "give an IP address: 127.0.0.1 for this machine, 0.0.0.0 for all".to_owned())
}

#[cfg(test)]
mod tests;
