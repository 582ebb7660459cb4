//! A program's output. No shell is asked, nothing of our environment is passed on, and when the time is
//! over the program goes with everything that it started.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::RUN_TIMEOUT;
use crate::document::{self, Answer, Format, OUTPUT_BYTES_MAX, Refusal};

/// Where programs are looked for, in place of our own `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Bytes of complaints that are kept, the newest; the last line is shown.
const COMPLAINTS_MAX: usize = 16 << 10;
/// How long pipes that the program left open to others are waited for.
const LINGER: Duration = Duration::from_secs(1);

/// What a program left behind.
#[derive(Debug)]
pub(super) struct Output {
    status: ExitStatus,
    output: Vec<u8>,
    complaints: Vec<u8>,
}

/// The program's process group. Dropping it kills whatever is left in it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nothing left to kill is what is hoped for.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `argv` to its end.
pub(super) async fn run(argv: &[String]) -> Result<Output, Refusal> {
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| Refusal::transient("argv is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|error| Refusal::transient(format!("cannot start {program}: {error}")))?;
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = Group(id);
    let ended = tokio::time::timeout(RUN_TIMEOUT, to_the_end(child)).await;
    drop(group);
    ended.map_err(|_| Refusal::transient(format!("{program} took longer than {RUN_TIMEOUT:?}")))?
}

async fn to_the_end(mut child: Child) -> Result<Output, Refusal> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading =
        async { tokio::join!(read(stdout, OUTPUT_BYTES_MAX), last(stderr, COMPLAINTS_MAX)) };
    tokio::pin!(reading);
    let failed = |error: std::io::Error| Refusal::transient(format!("waiting for it: {error}"));
    let (status, (output, complaints)) = tokio::select! {
        // Both ends of both pipes are closed, and the program is about to end.
        both = &mut reading => (None, both),
        status = child.wait() => {
            let status = status.map_err(failed)?;
            let both = tokio::time::timeout(LINGER, &mut reading).await;
            let both = both.map_err(|_| Refusal::transient("a process that it started holds its output open"))?;
            (Some(status), both)
        }
    };
    if output.len() > OUTPUT_BYTES_MAX {
        return Err(Refusal::transient(format!(
            "more than {OUTPUT_BYTES_MAX} bytes of output"
        )));
    }
    let status = match status {
        Some(status) => status,
        None => child.wait().await.map_err(failed)?,
    };
    Ok(Output {
        status,
        output,
        complaints,
    })
}

/// Up to `bytes_max` bytes and one more, which tells that there were more.
async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A pipe that breaks is a program that ended; its status says how.
        let _ = pipe
            .take(bytes_max as u64 + 1)
            .read_to_end(&mut bytes)
            .await;
    }
    bytes
}

/// All that comes, of which about the last `bytes_max` bytes are kept. A program that talks much would
/// die of a pipe that nobody reads.
async fn last(pipe: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else { return bytes };
    // As above, a pipe that breaks is one that ended.
    while let Ok(1..) = pipe.read_buf(&mut bytes).await {
        if bytes.len() > 2 * bytes_max {
            bytes.drain(..bytes.len() - bytes_max);
        }
    }
    bytes
}

impl Output {
    /// The document. A program that failed may still have printed a reason in its own form.
    pub(super) fn read(&self, format: Format, now_ms: i64) -> Result<Answer, Refusal> {
        let read = document::read(format, &self.output, now_ms);
        match read {
            Err(refusal)
                if !self.status.success() && !self.output.trim_ascii().starts_with(b"{") =>
            {
                let complaints = String::from_utf8_lossy(&self.complaints);
                let last = complaints
                    .lines()
                    .rev()
                    .find(|line| !line.trim().is_empty());
                let why = last.map_or_else(|| refusal.detail.clone(), str::to_owned);
                Err(Refusal::transient(format!("{}: {why}", self.status)))
            }
            read => read,
        }
    }
}
