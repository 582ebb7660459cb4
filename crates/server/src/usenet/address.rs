//! Where mounted files are: the path of a file, the grant for it alone, and its URL.
//!
//! URLs of our making name a file as `{mount}/{path}`, which stays the same when the mount is renamed;
//! `{category}/{name}/{path}` is understood as well, where no mount has that number: no category can take
//! the place of a number.

use std::sync::Arc;

use grant::{Actions, Order, Subject};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use usenet::{File, Mount, MountId, State, Usenet};

use crate::error::Problem;
use crate::state::App;

/// What need not be escaped in a query (RFC 3986 §3.4), and a slash, for people to read.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A path, taken apart: the mount, if there is one, and the rest of the path.
#[derive(Debug)]
pub(crate) struct Located<'a> {
    pub(crate) mount: Option<Arc<Mount>>,
    /// Its number, as the path has it where there is no such mount any more.
    pub(crate) id: MountId,
    pub(crate) path: &'a str,
}

/// The subject of a grant for one file, at most 64 bytes: the mount's number, which is never used again,
/// and a digest of the path.
pub(crate) fn subject(mount: MountId, path: &str) -> String {
    let digest = Sha256::digest(path);
    let hex: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
    format!("{mount}-{hex}")
}

/// `/api/files/stream?…` with a grant for this file alone. One that `must_start` has to be used soon.
pub(crate) fn url(
    app: &App,
    base: &str,
    mount: MountId,
    path: &str,
    must_start: bool,
) -> Result<String, Problem> {
    let scope = Subject::File(subject(mount, path));
    let order = Order {
        actions: Actions::PLAY.and(Actions::DOWNLOAD),
        must_start,
        ..Order::play(app.grants.gate().basis(scope, None))
    };
    let (_, grant) = app.grants.mint(order)?;
    let path = utf8_percent_encode(path, QUERY);
    Ok(format!(
        "{base}/api/files/stream?path={mount}/{path}&grant={grant}"
    ))
}

/// As [`url()`], to be used soon.
pub(crate) fn url_of(app: &App, base: &str, file: &File) -> Result<String, Problem> {
    url(app, base, file.mount().id(), &file.info().path, true)
}

/// Finds the mount that a path names. `None` for what can be no path of a file.
pub(crate) fn locate<'a>(engine: &Usenet, path: &'a str) -> Option<Located<'a>> {
    let path = path.trim_start_matches('/');
    let (first, rest) = path.split_once('/')?;
    let id = first.parse().ok().map(MountId);
    let mount = id.and_then(|id| engine.mount(id));
    if mount.is_none()
        && let Some((name, path)) = rest.split_once('/')
        && let Some(mount) = engine.mount_named(first, name)
    {
        return Some(Located {
            id: mount.id(),
            mount: Some(mount),
            path,
        });
    }
    Some(Located {
        mount,
        id: id?,
        path: rest,
    })
}

/// A file of a mount, to be read.
///
/// # Errors
/// Why it cannot be: not yet, not at all, or there is none.
pub(crate) fn open(mount: &Arc<Mount>, path: &str) -> Result<File, Problem> {
    if let Some(file) = mount.file(path) {
        return Ok(file);
    }
    let status = mount.status();
    let info = status.files.iter().find(|info| info.path == path);
    let failure = info.and_then(|info| info.failure.as_ref());
    if let Some(failure) = failure.or(status.failure.as_ref()) {
        return Err(failure.clone().into());
    }
    if matches!(status.state, State::Accepted | State::Probing) {
        let text = "the post is being looked at";
        return Err(usenet::Failure::new(usenet::Code::Timeout, text).into());
    }
    Err(Problem::not_found("the mount has no such file"))
}
