//! What is known of a post while it is mounted: its document, where bytes lie in its articles, and the
//! bytes of headers that led to that.
//!
//! No I/O: articles' headers and bytes are brought by whoever fetched them.

mod held;
mod view;

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use nzb::document::Document;
use nzb::layout::{Contradiction, Layout, Posted, Slice, Source};
use nzb::nntp::MessageId;
use nzb::yenc::Part;

pub(crate) use view::View;

use held::Held;

/// An article of a post: the file's index in the document, and the segment's in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) file: u32,
    pub(crate) segment: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) document: Document,
    posted: Vec<Posted>,
    /// The names in the articles' own headers.
    names: Vec<Option<String>>,
    held: Held,
    dead: HashSet<At>,
}

impl Post {
    pub(crate) fn new(document: Document) -> Self {
        Self {
            posted: (document.files.iter())
                .map(|file| Posted::new(&file.segments))
                .collect(),
            names: vec![None; document.files.len()],
            held: Held::default(),
            dead: HashSet::new(),
            document,
        }
    }

    pub(crate) fn id(&self, at: At) -> Option<&MessageId> {
        let file = self.document.files.get(at.file as usize)?;
        Some(&file.segments.get(at.segment)?.id)
    }

    /// The article, and then others that were posted under the same number.
    pub(crate) fn ids(&self, at: At) -> Vec<MessageId> {
        let Some(file) = self.document.files.get(at.file as usize) else {
            return Vec::new();
        };
        let Some(segment) = file.segments.get(at.segment) else {
            return Vec::new();
        };
        let same = (file.duplicates.iter()).filter(|other| other.number == segment.number);
        let all = std::iter::once(segment).chain(same);
        all.map(|segment| segment.id.clone()).collect()
    }

    /// Takes in the header of an article.
    pub(crate) fn learn(&mut self, at: At, part: &Part) -> Result<(), Contradiction> {
        let index = at.file as usize;
        let posted = self
            .posted
            .get_mut(index)
            .ok_or(Contradiction::NoSegment(at.segment))?;
        posted.learn(at.segment, part)?;
        if self.names[index].is_none() {
            self.names[index] = Some(part.name.clone());
        }
        Ok(())
    }

    /// Keeps an article's bytes for parsers to read.
    pub(crate) fn hold(&mut self, at: At, begin: u64, chunks: Vec<Bytes>) {
        self.held.insert(at.file, begin, chunks);
    }

    /// No provider has the article, or not whole.
    pub(crate) fn bury(&mut self, at: At) {
        self.dead.insert(at);
    }

    pub(crate) fn is_dead(&self, at: At) -> bool {
        self.dead.contains(&at)
    }

    /// Drops all bytes but those that parsers have read, now or before.
    pub(crate) fn compact(&mut self, read: &[(u32, Range<u64>)]) {
        self.held.compact(read);
    }

    /// A posted file's exact length, once one of its articles was seen.
    pub(crate) fn size(&self, file: u32) -> Option<u64> {
        self.posted.get(file as usize)?.size()
    }

    /// The name in the file's articles.
    pub(crate) fn inner_name(&self, file: u32) -> Option<&str> {
        self.names.get(file as usize)?.as_deref()
    }

    /// The articles that hold a run of a posted file.
    pub(crate) fn slices(&self, file: u32, range: Range<u64>) -> Vec<Slice> {
        let posted = self.posted.get(file as usize);
        posted.map_or_else(Vec::new, |posted| posted.slices(range))
    }

    /// The article that holds the byte at `offset` of a file of which none was seen yet, if the file is cut
    /// as `like` is. Good enough to ask for, not to believe.
    pub(crate) fn guess(&self, file: u32, like: u32, offset: u64) -> Option<usize> {
        let slice = self.slices(like, offset..offset + 1).first().copied()?;
        let segments = &self.document.files.get(file as usize)?.segments;
        slice.segment.filter(|&segment| segment < segments.len())
    }

    /// The articles that hold `range` of what `layout` maps and that are not held: what to fetch for a
    /// parser to read on. An article of each posted file that nothing is known of comes first.
    pub(crate) fn lacking(&self, layout: &Layout, range: Range<u64>) -> Vec<At> {
        let mut lacking = Vec::new();
        self.collect(layout, range, &mut lacking);
        lacking
    }

    fn collect(&self, layout: &Layout, range: Range<u64>, lacking: &mut Vec<At>) {
        for piece in layout.cut(range) {
            let run = piece.offset..piece.offset + piece.len;
            match &piece.source {
                Source::Sealed(sealed) => {
                    let (stored, _) = sealed.open(run);
                    self.collect(sealed.stored(), stored, lacking);
                }
                Source::Posted(file) if self.size(*file).is_none() => lacking.push(At {
                    file: *file,
                    segment: 0,
                }),
                Source::Posted(file) => {
                    let slices = self.slices(*file, run);
                    let is_here =
                        |slice: &Slice| self.held.covers(*file, slice.at..slice.at + slice.len);
                    let missing = slices.iter().filter(|slice| !is_here(slice));
                    lacking.extend(missing.filter_map(|slice| {
                        Some(At {
                            file: *file,
                            segment: slice.segment?,
                        })
                    }));
                }
            }
        }
    }
}
