//! A child process that ends with its handle.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Lines of a log that an error quotes.
const QUOTED_LINES: usize = 8;

#[derive(Debug)]
pub(super) struct Process {
    program: &'static str,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, which runs `program` of the Debian package `package`; what it prints goes to `log`.
    pub(super) fn spawn(
        command: &mut Command,
        program: &'static str,
        package: &'static str,
        log: &Path,
    ) -> Result<Self, Error> {
        let copy = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, errors) = copy.map_err(Error::io(format!("creating the log of {program}")))?;
        Self::run(command.stdout(out).stderr(errors), program, package, log)
    }

    /// The same, with what it writes to its standard output for the caller.
    pub(super) fn piped(
        command: &mut Command,
        program: &'static str,
        package: &'static str,
        log: &Path,
    ) -> Result<(Self, ChildStdout), Error> {
        let errors = File::create(log);
        let errors = errors.map_err(Error::io(format!("creating the log of {program}")))?;
        command.stdout(Stdio::piped()).stderr(errors);
        let process = Self::run(command, program, package, log)?;
        let mut child = process.child.lock().unwrap_or_else(PoisonError::into_inner);
        let output = child.stdout.take().expect("it was just piped");
        drop(child);
        Ok((process, output))
    }

    fn run(
        command: &mut Command,
        program: &'static str,
        package: &'static str,
        log: &Path,
    ) -> Result<Self, Error> {
        let child = command.stdin(Stdio::null()).spawn().map_err(|source| {
            // Refused: nowhere in PATH, and a folder of it is closed to us.
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) {
                Error::Missing { program, package }
            } else {
                Error::Io {
                    what: format!("starting {program}"),
                    source,
                }
            }
        })?;
        Ok(Self {
            program,
            child: Mutex::new(child),
            log: log.to_owned(),
        })
    }

    /// How it ended; `None` while it runs.
    pub(super) fn exited(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .ok()
            .flatten()
    }

    /// Sends a signal: `STOP`, `CONT`.
    pub(super) fn signal(&self, name: &str) -> Result<(), Error> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        sent.map(drop)
            .map_err(Error::io(format!("sending {} a signal", self.program)))
    }

    /// The error of a program that should not have ended.
    pub(super) fn failure(&self) -> Error {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let quoted = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("; ");
        let status = self
            .exited()
            .map_or_else(|| "no exit status".to_owned(), |status| status.to_string());
        Error::Exited {
            program: self.program,
            status,
            log: quoted,
        }
    }
}

impl Drop for Process {
    /// Waits, so that nothing is written any more when the folder goes.
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It fails only for a process that has ended and been waited for.
        drop(child.kill());
        drop(child.wait());
    }
}
