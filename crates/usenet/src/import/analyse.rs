//! What a post holds, as far as it is known, and what would tell more. No I/O.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use nzb::archive::{
    self, Bytes, Certainty, Family, HASHED_BYTES, Keys, Kind, VolumeName, hash_of_front,
};
use nzb::layout::{Layout, Source, Unmappable};

use super::names;
use super::volumes::{Group, group};
use crate::post::{At, Post, View};
use crate::{Code, Failure, Role};

/// Archives in archives: deeper than anybody packs.
const DEPTH_MAX: u32 = 4;
/// Small files beside the media whose first article is fetched, so that they are listed.
const NOTES_MAX: usize = 16;
/// A length for what is not known yet: only places in it that are verified before use are made with it.
const UNKNOWN_BYTES: u64 = 1 << 46;

/// What is known of a post.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    /// Its files. Final when nothing is wanted.
    pub(crate) files: Vec<Found>,
    /// Articles that would tell more.
    pub(crate) wants: BTreeSet<At>,
    /// Articles that will be asked for soon, by a parser or by a player.
    pub(crate) soon: BTreeSet<At>,
    /// What parsers have read.
    pub(crate) read: Vec<(u32, Range<u64>)>,
}

/// A file of a post.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) role: Role,
    pub(crate) kind: Option<Kind>,
    pub(crate) map: Result<Layout, Failure>,
}

/// Says what the post holds. `title` names a film whose own name says nothing. `is_eager` asks for the
/// headers of all volumes, not only of those that are needed to play.
pub(crate) fn analyse(post: &Post, keys: &mut Keys, title: &str, is_eager: bool) -> Analysis {
    let mut walk = Walk {
        post,
        keys,
        is_eager,
        read: RefCell::default(),
        out: Analysis::default(),
    };
    let entries = walk.top();
    walk.layer(&entries, 0);
    let mut analysis = walk.out;
    analysis.read = walk.read.into_inner();
    analysis.wants.retain(|at| !post.is_dead(*at));
    finish(&mut analysis.files, title);
    analysis
}

/// A file of a layer: posted, or in an archive of the layer above.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Posted(u32),
    Mapped(Layout),
    Unmapped(u64, Failure),
}

/// What is known of a file's first bytes.
pub(super) enum Front {
    Unseen,
    Dead,
    Seen(Option<Kind>),
}

pub(super) struct Walk<'a> {
    pub(super) post: &'a Post,
    pub(super) keys: &'a mut Keys,
    pub(super) is_eager: bool,
    /// What parsers read.
    pub(super) read: RefCell<Vec<(u32, Range<u64>)>>,
    pub(super) out: Analysis,
}

impl Walk<'_> {
    /// The posted files, under the best names that are known.
    fn top(&mut self) -> Vec<Entry> {
        let files = &self.post.document.files;
        let mut names: Vec<String> = (0..)
            .zip(files)
            .map(|(at, file)| match self.post.inner_name(at) {
                Some(inner) if !names::tells(&file.name) && names::tells(inner) => inner.to_owned(),
                _ => file.name.clone(),
            })
            .collect();
        let is_nameless = |name: &String| !names::tells(name);
        if names.iter().any(is_nameless) {
            let true_names = self.true_names(&names);
            for (at, name) in names
                .iter_mut()
                .enumerate()
                .filter(|(_, name)| is_nameless(name))
            {
                let front = self.copy_posted(at as u32, HASHED_BYTES);
                let found = front.and_then(|front| true_names.get(&hash_of_front(&front)));
                if let Some(found) = found {
                    name.clone_from(found);
                }
            }
        }
        let entry = |(at, name): (u32, String)| Entry {
            name,
            content: Content::Posted(at),
        };
        (0..).zip(names).map(entry).collect()
    }

    /// Names by the hash of the file's front, out of the smallest PAR2 file.
    fn true_names(&mut self, names: &[String]) -> HashMap<[u8; 16], String> {
        let is_par2 =
            |name: &str| VolumeName::parse(name).is_some_and(|v| v.family == Family::Par2);
        let mut par2: Vec<u32> = (0..)
            .zip(names)
            .filter(|(at, name)| is_par2(name) || self.kind_if_seen(*at) == Some(Kind::Par2))
            .map(|(at, _)| at)
            .collect();
        par2.sort_by_key(|&at| self.post.document.files[at as usize].bytes());
        let Some(&smallest) = par2.first() else {
            return HashMap::new();
        };
        let first = At {
            file: smallest,
            segment: 0,
        };
        let Some(size) = self.post.size(smallest) else {
            self.out.wants.insert(first);
            return HashMap::new();
        };
        let bytes = self.copy_posted(smallest, usize::try_from(size.min(4 << 20)).unwrap_or(0));
        let descriptions = archive::descriptions(&bytes.unwrap_or_default());
        descriptions
            .into_iter()
            .map(|description| (description.front_md5, description.name))
            .collect()
    }

    /// The first bytes of a posted file, `None` if they are not here: as many as there are of `len`.
    fn copy_posted(&self, file: u32, len: usize) -> Option<Vec<u8>> {
        let size = self.post.size(file)?;
        let layout = Layout::posted(file, size);
        let mut front = vec![0; len.min(usize::try_from(size).unwrap_or(len))];
        let got = self.view(&layout, Some(size)).read(0, &mut front);
        front.truncate(got);
        (got > 0).then_some(front)
    }

    fn kind_if_seen(&self, file: u32) -> Option<Kind> {
        Kind::of(&self.copy_posted(file, Kind::BYTES)?)
    }

    pub(super) fn view<'b>(&'b self, layout: &'b Layout, len: Option<u64>) -> View<'b> {
        View::new(self.post, layout, len, &self.read)
    }

    /// Where a file's bytes are, and its length if it is known.
    pub(super) fn layout(&self, entry: &Entry) -> (Layout, Option<u64>) {
        match &entry.content {
            Content::Posted(file) => match self.post.size(*file) {
                Some(size) => (Layout::posted(*file, size), Some(size)),
                None => (Layout::posted(*file, UNKNOWN_BYTES), None),
            },
            Content::Mapped(layout) => (layout.clone(), Some(layout.len())),
            Content::Unmapped(..) => (Layout::default(), Some(0)),
        }
    }

    pub(super) fn front(&self, entry: &Entry) -> Front {
        let (layout, size) = self.layout(entry);
        let end = size.map_or(1, |size| size.min(Kind::BYTES as u64));
        let lacking = self.post.lacking(&layout, 0..end);
        match lacking.first() {
            Some(at) if self.post.is_dead(*at) => Front::Dead,
            Some(_) => Front::Unseen,
            None => {
                // At most `Kind::BYTES`.
                let mut front = vec![0; end as usize];
                let got = self.view(&layout, size).read(0, &mut front);
                Front::Seen(Kind::of(&front[..got]))
            }
        }
    }

    /// Asks for what lacks of a range. `false` if some of it is nowhere to be had.
    pub(super) fn want(&mut self, layout: &Layout, range: Range<u64>) -> bool {
        let lacking = self.post.lacking(layout, range);
        let is_to_be_had = lacking.iter().all(|at| !self.post.is_dead(*at));
        self.out.wants.extend(lacking);
        is_to_be_had
    }

    /// Asks for a file's first bytes. `false` if they are nowhere to be had.
    pub(super) fn want_front(&mut self, entry: &Entry) -> bool {
        let (layout, size) = self.layout(entry);
        let end = size.map_or(1, |size| size.min(Kind::BYTES as u64));
        self.want(&layout, 0..end)
    }

    /// The last article of a posted file: where archives have their directories and films their index.
    pub(super) fn soon_last(&mut self, entry: &Entry) {
        if let Content::Posted(file) = entry.content {
            let segments = &self.post.document.files[file as usize].segments;
            self.out.soon.insert(At {
                file,
                segment: segments.len().saturating_sub(1),
            });
        }
    }

    fn layer(&mut self, entries: &[Entry], depth: u32) {
        let kinds: Vec<Option<Kind>> = (entries.iter())
            .map(|entry| match self.front(entry) {
                Front::Seen(kind) => kind,
                Front::Unseen | Front::Dead => None,
            })
            .collect();
        let named: Vec<(&str, Option<Kind>)> = entries
            .iter()
            .zip(kinds)
            .map(|(entry, kind)| (&*entry.name, kind))
            .collect();
        let mut notes = 0;
        for group in group(&named) {
            let pick = |indices: &[usize]| -> Vec<Entry> {
                indices.iter().map(|&at| entries[at].clone()).collect()
            };
            let found = match group {
                Group::Leaf(at) => {
                    self.leaf(&entries[at], &mut notes);
                    continue;
                }
                Group::Rar(volumes) => self.rar(&pick(&volumes), depth),
                Group::Loose(volumes) => self.loose(&pick(&volumes), depth),
                Group::Joined {
                    family,
                    name,
                    pieces,
                    is_whole,
                } => self.joined(family, &name, &pick(&pieces), is_whole),
            };
            if depth + 1 < DEPTH_MAX {
                self.layer(&found, depth + 1);
            }
        }
    }

    fn leaf(&mut self, entry: &Entry, notes: &mut usize) {
        let found = match &entry.content {
            Content::Posted(file) => {
                if !self.is_worth_it(entry, *file, notes) {
                    return;
                }
                let is_to_be_had = self.want_front(entry);
                match self.post.size(*file) {
                    Some(size) => Found::new(&entry.name, Ok(Layout::posted(*file, size)), size),
                    None if is_to_be_had => return,
                    None => {
                        let failure = Failure::new(
                            Code::Incomplete,
                            format!(
                                "{}: its first article is missing at every provider",
                                entry.name
                            ),
                        );
                        Found::new(&entry.name, Err(failure), 0)
                    }
                }
            }
            Content::Mapped(layout) => Found::new(&entry.name, Ok(layout.clone()), layout.len()),
            Content::Unmapped(size, failure) => {
                Found::new(&entry.name, Err(failure.clone()), *size)
            }
        };
        self.check(entry, found);
    }

    /// Whether a posted file's first article is worth fetching.
    fn is_worth_it(&self, entry: &Entry, file: u32, notes: &mut usize) -> bool {
        if !names::is_other(&entry.name) {
            return true;
        }
        *notes += 1;
        *notes <= NOTES_MAX && self.post.document.files[file as usize].segments.len() == 1
    }

    /// Looks at a file's first bytes: they tell its kind, and whether the password was right.
    fn check(&mut self, entry: &Entry, mut found: Found) {
        if let Ok(layout) = found.map.clone() {
            let is_sealed =
                (layout.pieces().iter()).any(|piece| matches!(piece.source, Source::Sealed(_)));
            match self.front(entry) {
                Front::Seen(kind) => {
                    found.kind = kind;
                    if is_sealed && names::keeps_promise(&entry.name, kind) == Some(false) {
                        found.map = Err(Failure::new(
                            Code::WrongPassword,
                            format!("{}: the password does not open it", entry.name),
                        ));
                    }
                }
                Front::Unseen if is_sealed => {
                    self.want_front(entry);
                }
                Front::Unseen | Front::Dead => {}
            }
        }
        self.out.files.push(found);
    }
}

impl Found {
    /// The posted files that its bytes are in, and how certain the places in them are.
    pub(crate) fn posted(&self) -> Vec<(u32, Certainty)> {
        let mut all = Vec::new();
        if let Ok(layout) = &self.map {
            collect(layout, Certainty::Exact, &mut all);
        }
        all
    }

    fn new(name: &str, map: Result<Layout, Failure>, size: u64) -> Self {
        Self {
            path: names::clean_path(name),
            size,
            role: Role::Other,
            kind: None,
            map,
        }
    }
}

fn collect(layout: &Layout, above: Certainty, all: &mut Vec<(u32, Certainty)>) {
    for piece in layout.pieces() {
        match &piece.source {
            Source::Posted(file) => all.push((*file, piece.certainty.min(above))),
            // A sealed piece is as certain as its least certain part: the parts tell for themselves.
            Source::Sealed(sealed) => collect(sealed.stored(), above, all),
        }
    }
}

/// Names and roles, once all files of the post are known.
fn finish(files: &mut [Found], title: &str) {
    for found in files.iter_mut() {
        let ending = found.kind.filter(|_| !names::tells(&found.path));
        if let Some(kind) = ending {
            found.path = format!("{}.{}", found.path, kind.extension());
        }
    }
    let longest = files.iter().map(|found| found.size).max().unwrap_or(0);
    for found in files.iter_mut() {
        found.role = names::role(&found.path, found.size, longest);
    }
    let media = |found: &&mut Found| found.role == Role::Media;
    let mut all: Vec<&mut Found> = files.iter_mut().filter(media).collect();
    if let [only] = &mut all[..]
        && names::is_random(&only.path)
        && let Some(title) = names::clean_component(title)
        && let Some((_, extension)) = only.path.rsplit_once('.')
    {
        only.path = format!("{title}.{extension}");
    }
    let mut taken = HashSet::new();
    for found in files {
        found.path = names::unique(std::mem::take(&mut found.path), &mut taken);
    }
}

pub(super) fn unmappable(name: &str, why: Unmappable) -> Failure {
    let code = match why {
        Unmappable::Compressed => Code::Compressed,
        Unmappable::Locked => Code::Encrypted,
        Unmappable::Incomplete { .. } | Unmappable::Outside { .. } => Code::Incomplete,
        Unmappable::TooLarge { .. } => Code::Unsupported,
    };
    Failure::new(code, format!("{name}: {why}"))
}

pub(super) fn unreadable(name: &str, why: &archive::Error) -> Failure {
    let code = match why {
        archive::Error::Encrypted(_) => Code::Encrypted,
        archive::Error::WrongPassword(_) => Code::WrongPassword,
        archive::Error::Corrupt { .. }
        | archive::Error::Unsupported { .. }
        | archive::Error::TooLarge { .. } => Code::Unsupported,
    };
    Failure::new(code, format!("{name}: {why}"))
}
