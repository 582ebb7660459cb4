//! INN 2.7 as a provider: innd keeps the articles, nnrpd hands them out, with and without TLS.
//!
//! `scripts/install.sh test` unpacks Debian's packages below the target folder. Everything that INN writes
//! goes into a folder of its own, which ends with the handle.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::process::Process;
use crate::nntp::Post;
use crate::{Error, free_port, wait_until};

/// The account of every INN that is started here.
pub const USERNAME: &str = "reader";
/// Its password.
pub const PASSWORD: &str = "secret";

const GROUP: &str = "alt.binaries.test";
/// Where `scripts/install.sh` unpacks it, below the target folder.
const UNPACKED: &str = "tools/inn2";
const START: Duration = Duration::from_secs(60);
/// Connections that post at once.
const POSTERS: usize = 4;

/// A running INN.
#[derive(Debug)]
pub struct Inn {
    // First the processes end, then their folder goes.
    _innd: Process,
    _nnrpd: Process,
    _nnrpd_tls: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    root: PathBuf,
    folder: TempDir,
}

impl Inn {
    /// Starts it, with an empty spool.
    ///
    /// # Errors
    /// [`Error::Missing`] if it was not unpacked; [`Error::Exited`] has the last lines of a program that
    /// would not run.
    pub async fn start() -> Result<Self, Error> {
        let root = unpacked()?;
        let folder = TempDir::new().map_err(Error::io("making a folder"))?;
        let port = || free_port().map_err(Error::io("finding a port"));
        let (feed, plain, tls) = (port()?, port()?, port()?);
        configure(folder.path(), &root, feed)?;
        let inn = Self {
            _innd: spawn(
                folder.path(),
                &root,
                "innd",
                &["-f", "-P", &feed.to_string()],
            )?,
            _nnrpd: nnrpd(folder.path(), &root, plain, &[])?,
            _nnrpd_tls: nnrpd(folder.path(), &root, tls, &["-S"])?,
            plain: ([127, 0, 0, 1], plain).into(),
            tls: ([127, 0, 0, 1], tls).into(),
            root,
            folder,
        };
        let is_up = async || {
            let control = inn.folder.path().join("run/control").exists();
            let is_up = control && Session::open(inn.plain).await.is_ok();
            (is_up && TcpStream::connect(inn.tls).await.is_ok()).then_some(())
        };
        match wait_until(START, "INN's listening", is_up).await {
            Ok(()) => Ok(inn),
            Err(_) if inn._innd.exited().is_some() => Err(inn._innd.failure()),
            Err(error) => Err(error),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.plain
    }

    /// Where it listens with TLS, as `localhost`.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls
    }

    /// Its certificate, which it signed itself, in PEM.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn certificate(&self) -> Result<String, Error> {
        let file = self.folder.path().join("etc/cert.pem");
        std::fs::read_to_string(file).map_err(Error::io("reading a certificate"))
    }

    /// Posts all articles, over several connections.
    ///
    /// # Errors
    /// [`Error::Http`] for an article that it refuses.
    pub async fn post(&self, post: &Post) -> Result<(), Error> {
        let articles: Vec<_> = post.articles().collect();
        let share = articles.len().div_ceil(POSTERS).max(1);
        let posters = articles.chunks(share).map(async |share| {
            let mut session = Session::open(self.plain).await?;
            for (id, body) in share {
                session.post(id, body).await?;
            }
            Ok(())
        });
        let results = futures_util::future::join_all(posters).await;
        results.into_iter().collect()
    }

    /// Takes an article away: from now on it is 430.
    ///
    /// # Errors
    /// [`Error::Exited`] if INN refuses.
    pub fn cancel(&self, id: &str) -> Result<(), Error> {
        let mut command = command(self.folder.path(), &self.root, "ctlinnd");
        run(
            command.args(["-t", "10", "cancel", &format!("<{id}>")]),
            "ctlinnd",
        )
    }
}

/// A connection that posts.
struct Session(BufReader<TcpStream>);

impl Session {
    async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(Error::io("connecting to INN"))?;
        stream
            .set_nodelay(true)
            .map_err(Error::io("connecting to INN"))?;
        let mut session = Self(BufReader::new(stream));
        session.expect("200", "greeting").await?;
        session
            .say(format!("AUTHINFO USER {USERNAME}\r\n").as_bytes(), "381")
            .await?;
        session
            .say(format!("AUTHINFO PASS {PASSWORD}\r\n").as_bytes(), "281")
            .await?;
        Ok(session)
    }

    async fn post(&mut self, id: &str, body: &[u8]) -> Result<(), Error> {
        self.say(b"POST\r\n", "340").await?;
        let head = format!(
            "From: testkit <testkit@example.com>\r\nNewsgroups: {GROUP}\r\nSubject: {id}\r\nMessage-ID: <{id}>\r\n\r\n"
        );
        self.say(&[head.as_bytes(), body].concat(), "240").await
    }

    async fn say(&mut self, bytes: &[u8], expected: &str) -> Result<(), Error> {
        self.0
            .get_mut()
            .write_all(bytes)
            .await
            .map_err(Error::io("talking to INN"))?;
        self.expect(expected, "answer").await
    }

    async fn expect(&mut self, expected: &str, what: &str) -> Result<(), Error> {
        let mut line = String::new();
        self.0
            .read_line(&mut line)
            .await
            .map_err(Error::io("hearing from INN"))?;
        if line.starts_with(expected) {
            return Ok(());
        }
        Err(Error::Http {
            url: "INN".to_owned(),
            reason: format!("{what} {:?}, {expected} expected", line.trim_end()),
        })
    }
}

/// The folder of the packages: tests run below the target folder.
fn unpacked() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding INN"))?;
    let mut roots = program.ancestors().map(|folder| folder.join(UNPACKED));
    let found = roots.find(|root| root.join("usr/lib/news/bin/innd").exists());
    found.ok_or(Error::Missing {
        program: "innd (unpacked by scripts/install.sh test)",
        package: "inn2",
    })
}

fn is_root() -> bool {
    // The owner of what this process makes is who it is.
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// INN refuses to run as root: then it runs as `news`, whom every Debian has.
fn command(folder: &Path, root: &Path, program: &str) -> Command {
    let path = root.join("usr/lib/news/bin").join(program);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "news", "--regid", "news", "--clear-groups"]);
        command.arg(path);
        command
    } else {
        Command::new(path)
    };
    command
        .env("INNCONF", folder.join("etc/inn.conf"))
        .env("LD_LIBRARY_PATH", root.join("usr/lib/news"))
        .current_dir(folder);
    command
}

fn spawn(
    folder: &Path,
    root: &Path,
    program: &'static str,
    arguments: &[&str],
) -> Result<Process, Error> {
    let log = folder.join(format!("{program}{}.log", arguments.join("")));
    Process::spawn(
        command(folder, root, program).args(arguments),
        program,
        "inn2",
        &log,
    )
}

fn nnrpd(folder: &Path, root: &Path, port: u16, more: &[&str]) -> Result<Process, Error> {
    let port = port.to_string();
    let arguments = ["-D", "-f", "-b", "127.0.0.1", "-p", &port];
    spawn(folder, root, "nnrpd", &[&arguments[..], more].concat())
}

fn run(command: &mut Command, program: &'static str) -> Result<(), Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("starting {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Exited {
        program,
        status: output.status.to_string(),
        log: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn configure(folder: &Path, root: &Path, feed: u16) -> Result<(), Error> {
    for name in FOLDERS {
        std::fs::create_dir_all(folder.join(name)).map_err(Error::io("configuring INN"))?;
    }
    let password = Command::new("openssl")
        .args(["passwd", "-1", PASSWORD])
        .output()
        .map_err(Error::io("starting openssl"))?;
    let password = String::from_utf8_lossy(&password.stdout).trim().to_owned();
    let users = format!("{USERNAME}:{password}\n");
    for (name, text) in [
        ("etc/inn.conf", inn_conf(folder, root, feed)),
        ("etc/users", users),
    ]
    .into_iter()
    .chain(files(folder))
    {
        std::fs::write(folder.join(name), text).map_err(Error::io("configuring INN"))?;
    }
    certify(&folder.join("etc"))?;
    if is_root() {
        run(
            Command::new("chown").args(["-R", "news:news"]).arg(folder),
            "chown",
        )?;
    }
    let mut history = command(folder, root, "makedbz");
    history.args(["-i", "-o", "-s", "100000"]);
    run(history.current_dir(folder.join("db")), "makedbz")
}

const FOLDERS: [&str; 9] = [
    "etc",
    "db",
    "run",
    "log",
    "tmp",
    "filter",
    "spool/incoming/bad",
    "spool/articles",
    "spool/overview",
];

/// Everything but its main file and its users.
fn files(folder: &Path) -> Vec<(&'static str, String)> {
    let readers = format!(
        "auth all {{
  hosts: \"127.0.0.0/8\"
  auth: \"ckpasswd -f {}/etc/users\"
  default-domain: \"localhost\"
}}
access all {{
  users: \"*\"
  newsgroups: \"*\"
  access: RPA
}}
",
        folder.display()
    );
    let numbers = "0000000000 0000000001";
    let active = format!(
        "control {numbers} n\ncontrol.cancel {numbers} n\njunk {numbers} n\n{GROUP} {numbers} y\n"
    );
    let text = str::to_owned;
    vec![
        (
            "etc/storage.conf",
            text("method timehash {\n  newsgroups: *\n  class: 0\n}\n"),
        ),
        (
            "etc/expire.ctl",
            text("/remember/:10\n*:A:never:never:never\n"),
        ),
        ("etc/newsfeeds", text("ME:!*/!local::\n")),
        (
            "etc/incoming.conf",
            text("peer ME {\n  hostname: \"127.0.0.1\"\n}\n"),
        ),
        ("etc/control.ctl", text("all:*:*:drop\n")),
        ("etc/readers.conf", readers),
        ("etc/moderators", text("")),
        ("etc/distrib.pats", text("")),
        ("etc/subscriptions", text("")),
        ("db/active", active),
        ("db/newsgroups", format!("{GROUP}\ttests\n")),
        ("db/active.times", text("")),
        ("db/history", text("")),
    ]
}

/// A key and a certificate for localhost.
fn certify(etc: &Path) -> Result<(), Error> {
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
        ])
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        // Clients refuse a server that shows an authority's certificate as its own.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(etc.join("key.pem"))
        .arg("-out")
        .arg(etc.join("cert.pem"));
    run(&mut openssl, "openssl")
}

/// What INN has to be told to keep to its folder and to take articles of binaries.
fn inn_conf(folder: &Path, root: &Path, feed: u16) -> String {
    let user = if is_root() {
        "news".to_owned()
    } else {
        std::env::var("USER").unwrap_or_else(|_| "news".to_owned())
    };
    let (folder, root) = (folder.display(), root.display());
    let mut conf = String::new();
    let mut set = |key: &str, value: String| {
        writeln!(conf, "{key}: {value}").expect("a string takes everything");
    };
    for (key, value) in [
        ("domain", "localhost"),
        ("fromhost", "localhost"),
        ("pathhost", "news.localhost"),
        ("server", "127.0.0.1"),
        ("organization", "testkit"),
        ("mta", "\"/bin/true %s\""),
        ("hismethod", "hisv6"),
        ("enableoverview", "true"),
        ("ovmethod", "tradindexed"),
        ("wireformat", "true"),
        ("artcutoff", "0"),
        // Without these an article is not there as soon as it was posted, or is too large.
        ("icdsynccount", "1"),
        ("maxartsize", "8000000"),
        ("localmaxartsize", "8000000"),
        ("linecountfuzz", "0"),
        ("bindaddress", "127.0.0.1"),
        ("noreader", "true"),
        ("maxconnections", "200"),
        ("clienttimeout", "600"),
        ("initialtimeout", "30"),
        ("readertrack", "false"),
        ("addinjectionpostingaccount", "false"),
        ("addinjectionpostinghost", "false"),
        ("spoolfirst", "false"),
        ("checkincludedtext", "false"),
    ] {
        set(key, value.to_owned());
    }
    set("runasuser", user.clone());
    set("runasgroup", user);
    set("port", feed.to_string());
    for (key, below) in [
        ("patharchive", "spool/archive"),
        ("patharticles", "spool/articles"),
        ("pathdb", "db"),
        ("pathetc", "etc"),
        ("pathfilter", "filter"),
        ("pathhttp", "tmp"),
        ("pathincoming", "spool/incoming"),
        ("pathlog", "log"),
        ("pathoutgoing", "spool/outgoing"),
        ("pathoverview", "spool/overview"),
        ("pathrun", "run"),
        ("pathspool", "spool"),
        ("pathtmp", "tmp"),
        ("tlscertfile", "etc/cert.pem"),
        ("tlskeyfile", "etc/key.pem"),
        ("tlscapath", "etc"),
    ] {
        set(key, format!("{folder}/{below}"));
    }
    set("pathnews", folder.to_string());
    set("pathbin", format!("{root}/usr/lib/news/bin"));
    set("pathcontrol", format!("{root}/usr/lib/news/bin/control"));
    conf
}
