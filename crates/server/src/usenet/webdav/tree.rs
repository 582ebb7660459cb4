//! What is at a path, and what is below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use usenet::{File, FileInfo, Mount, MountId, Usenet};

use super::IDS;
use crate::state::App;
use crate::usenet::Dropped;

/// Something with a path.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Root,
    Content,
    Category(String),
    Ids,
    /// A folder of a mount; the empty path is the mount itself.
    Folder {
        mount: Arc<Mount>,
        path: String,
    },
    File(File),
    /// Where NZBs are put: `nzbs`, and a folder in it for each category.
    Nzbs,
    NzbCategory(String),
    /// One that was put there lately.
    Nzb(Dropped),
}

pub(super) const CONTENT: &str = "content";
/// As AltMount calls it.
const COMPLETE: &str = "complete";
pub(super) const NZBS: &str = "nzbs";

/// Finds what `path`, without slashes at its ends, names.
pub(super) fn find(app: &App, path: &str) -> Option<Node> {
    let engine = &app.usenet.engine;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "" => Some(Node::Root),
        CONTENT | COMPLETE if rest.is_empty() => Some(Node::Content),
        CONTENT | COMPLETE => {
            let (category, rest) = rest.split_once('/').unwrap_or((rest, ""));
            if rest.is_empty() {
                let mut mounts = shown(engine);
                let has_some = mounts.any(|mount| mount.status().category == category);
                return has_some.then(|| Node::Category(category.to_owned()));
            }
            let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
            inside(engine.mount_named(category, name)?, rest)
        }
        IDS if rest.is_empty() => Some(Node::Ids),
        IDS => {
            let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
            inside(engine.mount(MountId(id.parse().ok()?))?, rest)
        }
        NZBS if rest.is_empty() => Some(Node::Nzbs),
        NZBS => match app.usenet.dropped(rest) {
            Some(nzb) => Some(Node::Nzb(nzb)),
            None => category_of(rest).map(|category| Node::NzbCategory(category.to_owned())),
        },
        _ => None,
    }
}

/// The category that a folder in `nzbs` stands for: any that is no NZB's name.
pub(super) fn category_of(path: &str) -> Option<&str> {
    let is_plain = !path.contains('/') && !is_nzb(path);
    is_plain.then_some(path)
}

pub(super) fn is_nzb(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".nzb") || name.ends_with(".nzb.gz")
}

/// What is at a path of a mount that can be played.
fn inside(mount: Arc<Mount>, path: &str) -> Option<Node> {
    let status = mount.status();
    if !status.state.is_playable() {
        return None;
    }
    if let Some(file) = mount.file(path) {
        return Some(Node::File(file));
    }
    let is_folder =
        path.is_empty() || files(&status.files).any(|(_, info)| below(&info.path, path).is_some());
    is_folder.then(|| Node::Folder {
        mount,
        path: path.to_owned(),
    })
}

/// The members of a collection with their names; none of what is no collection.
pub(super) fn members(app: &App, node: &Node) -> Vec<(String, Node)> {
    let engine = &app.usenet.engine;
    match node {
        Node::Root => vec![
            (CONTENT.to_owned(), Node::Content),
            (NZBS.to_owned(), Node::Nzbs),
            (IDS.to_owned(), Node::Ids),
        ],
        Node::Content => {
            let mut names: Vec<_> = shown(engine)
                .map(|mount| mount.status().category.clone())
                .collect();
            names.sort_unstable();
            names.dedup();
            let named = names
                .into_iter()
                .map(|name| (name.clone(), Node::Category(name)));
            named.collect()
        }
        Node::Category(category) => {
            let here = shown(engine).filter(|mount| mount.status().category == *category);
            here.map(|mount| (mount.status().name.clone(), whole(mount)))
                .collect()
        }
        Node::Ids => shown(engine)
            .map(|mount| (mount.id().to_string(), whole(mount)))
            .collect(),
        Node::Folder { mount, path } => in_folder(mount, path),
        Node::Nzbs => {
            let all = app.usenet.all_dropped();
            let categories = all.iter().filter_map(|nzb| nzb.path.split_once('/'));
            let mut names: Vec<_> = categories
                .map(|(category, _)| category.to_owned())
                .collect();
            names.sort_unstable();
            names.dedup();
            let folders = names
                .into_iter()
                .map(|name| (name.clone(), Node::NzbCategory(name)));
            let loose = all.into_iter().filter(|nzb| !nzb.path.contains('/'));
            folders
                .chain(loose.map(|nzb| (nzb.path.clone(), Node::Nzb(nzb))))
                .collect()
        }
        Node::NzbCategory(category) => {
            let all = app.usenet.all_dropped().into_iter();
            let here = all.filter_map(|nzb| {
                let (folder, name) = nzb.path.split_once('/')?;
                let name = name.to_owned();
                (folder == category).then(|| (name, Node::Nzb(nzb)))
            });
            here.collect()
        }
        Node::File(_) | Node::Nzb(_) => Vec::new(),
    }
}

fn in_folder(mount: &Arc<Mount>, folder: &str) -> Vec<(String, Node)> {
    let status = mount.status();
    let mut members = BTreeMap::new();
    for (index, info) in files(&status.files) {
        let Some(rest) = below(&info.path, folder) else {
            continue;
        };
        let (name, node) = match rest.split_once('/') {
            None => match mount.file_at(index) {
                Some(file) => (rest, Node::File(file)),
                None => continue,
            },
            Some((name, _)) => {
                let path = if folder.is_empty() {
                    name.to_owned()
                } else {
                    format!("{folder}/{name}")
                };
                let mount = mount.clone();
                (name, Node::Folder { mount, path })
            }
        };
        members.entry(name.to_owned()).or_insert(node);
    }
    members.into_iter().collect()
}

fn whole(mount: Arc<Mount>) -> Node {
    Node::Folder {
        mount,
        path: String::new(),
    }
}

fn shown(engine: &Usenet) -> impl Iterator<Item = Arc<Mount>> {
    let mounts = engine.mounts().into_iter();
    mounts.filter(|mount| mount.status().state.is_playable())
}

/// Those that can be read, with their places.
fn files(all: &[FileInfo]) -> impl Iterator<Item = (usize, &FileInfo)> {
    let all = all.iter().enumerate();
    all.filter(|(_, info)| info.failure.is_none())
}

fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}
