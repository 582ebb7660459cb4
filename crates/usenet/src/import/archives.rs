//! Archives of a layer: which files they hold, and where in their volumes.

use nzb::archive::rar::{self, Members, Source, Volume};
use nzb::archive::{Family, Member, Method, Need, Step, VolumeName, seven, zip};
use nzb::layout::Layout;

use super::analyse::{Content, Entry, Front, Walk, unmappable, unreadable};
use super::volumes::chain;
use crate::{Code, Failure};

/// Bytes behind the last file of a set that can hold nothing but an end header.
const TAIL_BYTES: u64 = 4096;

/// A volume as far as it could be read.
struct Read {
    volume: Option<Volume>,
    /// What would take it further.
    need: Option<Need>,
    layout: Layout,
    size: Option<u64>,
    is_dead: bool,
}

impl Walk<'_> {
    /// A set whose names give the order. At the top only the first volumes and the last are read: what
    /// lies between is inferred, and verified before it is used.
    pub(super) fn rar(&mut self, volumes: &[Entry], depth: u32) -> Vec<Entry> {
        let reads = match self.read_all(volumes) {
            Ok(reads) => reads,
            Err(failure) => return broken(volumes, failure),
        };
        let disagrees = |(at, read): (u64, &Read)| {
            let number = read.volume.as_ref().and_then(Volume::number);
            number.is_some_and(|number| number != at)
        };
        if (0..).zip(&reads).any(disagrees) {
            return self.loose(volumes, depth);
        }
        if reads[0].is_dead {
            let text = format!(
                "{}: its first article is missing at every provider",
                volumes[0].name
            );
            return broken(volumes, Failure::new(Code::Incomplete, text));
        }
        self.soon_last(&volumes[volumes.len() - 1]);
        let is_lazy = depth == 0 && !self.is_eager;
        let alive: Vec<usize> = (0..reads.len()).filter(|&at| !reads[at].is_dead).collect();
        let mut needed: Vec<usize> = alive
            .iter()
            .copied()
            .take(2)
            .chain(alive.last().copied())
            .collect();
        if !is_lazy {
            needed = alive;
        }
        for at in needed {
            self.want_front(&volumes[at]);
        }
        match self.members(&reads, volumes, is_lazy) {
            Ok(entries) => entries,
            Err(rar_error) if reads.len() > 1 => {
                tracing::debug!(error = %rar_error.message, "names give a wrong order of volumes");
                self.loose(volumes, depth)
            }
            Err(failure) => broken(volumes, failure),
        }
    }

    /// Volumes whose order only their headers know: all of them are read.
    pub(super) fn loose(&mut self, volumes: &[Entry], _depth: u32) -> Vec<Entry> {
        let mut is_lacking = false;
        for entry in volumes {
            is_lacking |= matches!(self.front(entry), Front::Unseen) && self.want_front(entry);
        }
        if is_lacking {
            return Vec::new();
        }
        let reads = match self.read_all(volumes) {
            Ok(reads) => reads,
            Err(failure) => return broken(volumes, failure),
        };
        // RAR 4 has the number at the volume's end.
        for read in &reads {
            let is_numbered = read
                .volume
                .as_ref()
                .is_some_and(|volume| !volume.is_volume() || volume.number().is_some());
            if let Some(need) = read.need.filter(|_| !is_numbered) {
                is_lacking |= self.want(&read.layout, need.offset..need.offset + need.len);
            }
        }
        if is_lacking && !self.out.wants.is_empty() {
            return Vec::new();
        }
        let known: Vec<(usize, &Volume)> = (reads.iter().enumerate())
            .filter_map(|(at, read)| Some((at, read.volume.as_ref()?)))
            .collect();
        let mut found = Vec::new();
        for set in chain(&known) {
            let entries: Vec<Entry> = set.iter().map(|&at| volumes[at].clone()).collect();
            let Ok(reads) = self.read_all(&entries) else {
                continue;
            };
            match self.members(&reads, &entries, false) {
                Ok(members) => found.extend(members),
                Err(failure) => found.extend(broken(&entries, failure)),
            }
        }
        if found.is_empty() {
            let text = "volumes of an archive whose first one is missing";
            return broken(volumes, Failure::new(Code::Incomplete, text));
        }
        found
    }

    fn read_all(&mut self, volumes: &[Entry]) -> Result<Vec<Read>, Failure> {
        volumes
            .iter()
            .map(|entry| self.read_volume(entry))
            .collect()
    }

    fn read_volume(&mut self, entry: &Entry) -> Result<Read, Failure> {
        let (layout, size) = self.layout(entry);
        let mut read = Read {
            volume: None,
            need: None,
            is_dead: false,
            size,
            layout,
        };
        match self.front(entry) {
            Front::Unseen => return Ok(read),
            Front::Dead => {
                read.is_dead = true;
                return Ok(read);
            }
            Front::Seen(_) => {}
        }
        let mut volume = Volume::new();
        let view = crate::post::View::new(self.post, &read.layout, size, &self.read);
        match volume.advance(&view, self.keys) {
            Ok(Step::Done(())) => {}
            Ok(Step::Need(need)) => read.need = Some(need),
            Err(error) => return Err(unreadable(&entry.name, &error)),
        }
        // A header that is cut off by the end of the article: more is wanted before anything is known.
        let is_blind = volume.entries().is_empty();
        if let Some(need) = read.need.filter(|_| is_blind) {
            self.want(&read.layout, need.offset..need.offset + need.len);
        }
        read.volume = Some(volume);
        Ok(read)
    }

    fn members(
        &mut self,
        reads: &[Read],
        volumes: &[Entry],
        is_lazy: bool,
    ) -> Result<Vec<Entry>, Failure> {
        let sources: Vec<Source<'_>> = reads
            .iter()
            .map(|read| Source {
                volume: read.volume.as_ref(),
                size: read.size,
            })
            .collect();
        let name = &volumes[0].name;
        let members = rar::members(&sources).map_err(|error| unreadable(name, &error))?;
        let is_packed = |member: &Member| member.method == Method::Compressed;
        let is_hopeless = !members.files.is_empty() && members.files.iter().all(is_packed);
        if is_lazy && !is_hopeless && !reaches_the_end(&members, reads) {
            for entry in volumes {
                self.want_front(entry);
            }
        }
        for read in reads.iter().filter(|_| !is_hopeless) {
            let need = read.need.filter(|need| may_hold_more(read, need));
            if let Some(need) = need {
                // Damage there hides files behind it; those before can be played.
                self.want(&read.layout, need.offset..need.offset + need.len);
            }
        }
        let layouts: Vec<Option<&Layout>> = reads.iter().map(|read| Some(&read.layout)).collect();
        Ok(members
            .files
            .iter()
            .map(|member| entry_of(member, &layouts))
            .collect())
    }

    /// Pieces of one file, and what is in it if it is an archive.
    pub(super) fn joined(
        &mut self,
        family: Family,
        name: &str,
        pieces: &[Entry],
        is_whole: bool,
    ) -> Vec<Entry> {
        let missing = |text: &str| Failure::new(Code::Incomplete, format!("{name}: {text}"));
        if !is_whole {
            return broken(pieces, missing("a piece of it is not in the post"));
        }
        if family != Family::Split {
            self.soon_last(&pieces[pieces.len() - 1]);
        }
        let mut layouts = Vec::new();
        for piece in pieces {
            let is_to_be_had = self.want_front(piece);
            let (layout, size) = self.layout(piece);
            match size {
                Some(_) => layouts.push(layout),
                None if is_to_be_had => {}
                None => return broken(pieces, missing("an article is missing at every provider")),
            }
        }
        if layouts.len() < pieces.len() {
            return Vec::new();
        }
        let whole = match Layout::joined(&layouts) {
            Ok(whole) => whole,
            Err(why) => return broken(pieces, unmappable(name, why)),
        };
        if family == Family::Split {
            // As it was posted: the set's name is in lower case.
            let first = &pieces[0].name;
            let stem = first.rsplit_once('.').map_or(&**first, |(stem, _)| stem);
            return vec![Entry {
                name: stem.to_owned(),
                content: Content::Mapped(whole),
            }];
        }
        self.archive(family, name, &whole)
            .unwrap_or_else(|failure| broken(pieces, failure))
    }

    fn archive(
        &mut self,
        family: Family,
        name: &str,
        whole: &Layout,
    ) -> Result<Vec<Entry>, Failure> {
        let view = crate::post::View::new(self.post, whole, Some(whole.len()), &self.read);
        let step = if family == Family::Zip {
            zip::members(&view)
        } else {
            seven::members(&view, self.keys)
        };
        match step.map_err(|error| unreadable(name, &error))? {
            Step::Done(members) => Ok(members
                .iter()
                .map(|member| entry_of(member, &[Some(whole)]))
                .collect()),
            Step::Need(need) => {
                if self.want(whole, need.offset..need.offset + need.len) {
                    return Ok(Vec::new());
                }
                let text =
                    format!("{name}: the article with its directory is missing at every provider");
                Err(Failure::new(Code::Incomplete, text))
            }
        }
    }
}

/// Whether what was inferred explains the set to its end, so that no file can be hidden in volumes that
/// were not read. A set of archives is read whole.
fn reaches_the_end(members: &Members, reads: &[Read]) -> bool {
    let Some(last) = members.files.last() else {
        return false;
    };
    let is_archive = |member: &Member| VolumeName::parse(&member.name).is_some();
    let ends_in_last = last.extents.last().map(|extent| extent.volume) == Some(reads.len() - 1);
    ends_in_last && last.is_mapped() && !members.files.iter().any(is_archive)
}

/// Whether there can be more files behind those that were read.
fn may_hold_more(read: &Read, need: &Need) -> bool {
    let goes_on = (read.volume.as_ref())
        .and_then(|volume| volume.entries().last())
        .is_some_and(|entry| entry.continues);
    let is_tail = (read.size).is_some_and(|size| size.saturating_sub(need.offset) <= TAIL_BYTES);
    !goes_on && !is_tail
}

fn entry_of(member: &Member, volumes: &[Option<&Layout>]) -> Entry {
    let content = match Layout::member(member, volumes) {
        Ok(layout) => Content::Mapped(layout),
        Err(why) => Content::Unmapped(member.size, unmappable(&member.name, why)),
    };
    Entry {
        name: member.name.clone(),
        content,
    }
}

/// One entry that says why nothing of these files can be read.
fn broken(entries: &[Entry], failure: Failure) -> Vec<Entry> {
    let name = entries.first().map_or("", |entry| &*entry.name);
    vec![Entry {
        // Not the volume's own name: it is not to be taken for an archive again.
        name: format!("{name}.damaged"),
        content: Content::Unmapped(0, failure),
    }]
}
