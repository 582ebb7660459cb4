//! nginx as a static server of one folder, with a configuration and all its files in a folder of its own.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::process::Process;
use crate::Error;
use crate::wait::{free_port, wait_until};

/// A running server.
#[derive(Debug)]
pub struct Nginx {
    // Stopped before its folder goes.
    process: Process,
    port: u16,
    folder: TempDir,
}

/// A request that nginx has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// With its query.
    pub uri: String,
    /// The answer.
    pub status: u16,
}

/// Ports to try: another program may take one between our finding it and nginx's binding it.
const PORTS_TRIED: usize = 5;
/// It listens within milliseconds.
const START: Duration = Duration::from_secs(10);

impl Nginx {
    /// Serves the files below `root` on a free port of 127.0.0.1, as the user who runs this, root or not.
    ///
    /// # Errors
    /// [`Error::Missing`] without nginx; [`Error::Exited`] when it does not like its configuration.
    pub async fn start(root: &Path) -> Result<Self, Error> {
        let mut last = None;
        for _ in 0..PORTS_TRIED {
            match Self::try_start(root).await {
                Err(error @ Error::Exited { .. }) => last = Some(error),
                other => return other,
            }
        }
        Err(last.expect("each try that did not return has left its error"))
    }

    /// Stands still: connections are accepted, and nothing is answered.
    ///
    /// # Errors
    /// [`Error::Io`] without the program `kill`.
    pub fn pause(&self) -> Result<(), Error> {
        self.process.signal("STOP")
    }

    /// Goes on.
    ///
    /// # Errors
    /// As [`Nginx::pause`].
    pub fn resume(&self) -> Result<(), Error> {
        self.process.signal("CONT")
    }

    async fn try_start(root: &Path) -> Result<Self, Error> {
        let folder = TempDir::new().map_err(Error::io("making a folder"))?;
        let port = free_port().map_err(Error::io("finding a port"))?;
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, configuration(root, folder.path(), port))
            .map_err(Error::io("writing nginx.conf"))?;
        // Debian has it where only root's PATH looks.
        let installed = Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if installed.exists() {
            installed
        } else {
            Path::new("nginx")
        });
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.path().join("error.log"));
        let process = Process::spawn(
            &mut command,
            "nginx",
            "nginx",
            &folder.path().join("output.log"),
        )?;
        let listening = wait_until(START, "nginx's listening", async || {
            if process.exited().is_some() {
                return Some(false);
            }
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
                .map(|_| true)
        });
        // Somebody else may answer on a port that nginx did not get.
        if listening.await? && process.exited().is_none() {
            Ok(Self {
                process,
                port,
                folder,
            })
        } else {
            Err(process.failure())
        }
    }

    /// The URL of a file.
    pub fn url(&self, file: &str) -> Url {
        let url = format!("http://127.0.0.1:{}/{file}", self.port);
        url.parse().expect("an address and a file name make a URL")
    }

    /// What was asked so far, in the order of the answers.
    ///
    /// # Errors
    /// [`Error::Io`] when the log cannot be read.
    pub fn requests(&self) -> Result<Vec<Request>, Error> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log"));
        let log = log.map_err(Error::io("reading nginx's log"))?;
        let requests = log.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let (method, uri, status) = (words.next()?, words.next()?, words.next()?);
            Some(Request {
                method: method.to_owned(),
                uri: uri.to_owned(),
                status: status.parse().ok()?,
            })
        });
        Ok(requests.collect())
    }
}

fn configuration(root: &Path, folder: &Path, port: u16) -> String {
    let (root, folder) = (root.display(), folder.display());
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        // The folders that nginx insists on, used or not.
        writeln!(temporary, "    {kind}_temp_path {folder}/tmp;")
            .expect("a string takes everything");
    }
    // One process: no workers that would outlive it, and no change of user, so that it reads what we write.
    format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
{temporary}    log_format requests '$request_method $request_uri $status';
    access_log {folder}/access.log requests;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000;
    types {{
        application/vnd.apple.mpegurl m3u8;
        video/mp2t ts;
        video/mp4 mp4;
        video/iso.segment m4s;
        application/octet-stream key;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location ~ \\.m3u8$ {{
            add_header Cache-Control no-cache;
            sub_filter_types application/vnd.apple.mpegurl;
            sub_filter ',IV=0x' ',X-IV=0x';
            sub_filter_once off;
        }}
    }}
}}
"
    )
}
