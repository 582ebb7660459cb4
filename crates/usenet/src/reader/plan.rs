//! The way through a layout, one run of one article after another.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use nzb::archive::Certainty;
use nzb::layout::{Layout, Opener, Sealed, Source};

use crate::import::Found;
use crate::mapped::{Files, Mapped};
use crate::post::At;

/// Bytes of a posted file whose articles are looked up at once.
const LOOK_UP_BYTES: u64 = 64 << 20;

/// What a reader does next.
#[derive(Debug)]
pub(super) enum Step {
    /// What follows is encrypted.
    Open(Box<Opener>),
    /// It ends.
    Close,
    /// The place of what follows is inferred: the header of this posted file is to be read first.
    Verify(u32),
    Take(Take),
}

/// A run of one article.
#[derive(Clone, Debug)]
pub(super) struct Take {
    /// `None` where the document names no article.
    pub(super) at: Option<At>,
    /// The posted file.
    pub(super) file: u32,
    /// Where the article's first byte is expected in it.
    pub(super) begin: u64,
    /// Where the run begins in the article.
    pub(super) offset: u64,
    pub(super) len: u64,
    /// The piece of the posted file that the run is of: a hole does not reach beyond it.
    pub(super) piece: Range<u64>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Step(Step),
    /// Nothing is known of this posted file yet; bytes from `offset` on will be read.
    Unknown {
        file: u32,
        offset: u64,
    },
    End,
}

#[derive(Debug)]
pub(super) struct Plan {
    files: Arc<Files>,
    index: usize,
    levels: Vec<Level>,
    /// What is left of the piece at hand.
    run: Option<Run>,
    ready: VecDeque<Step>,
}

#[derive(Debug)]
struct Level {
    /// `None` for the file's own layout.
    sealed: Option<Arc<Sealed>>,
    at: u64,
    end: u64,
}

#[derive(Debug)]
struct Run {
    file: u32,
    at: u64,
    end: u64,
    piece: Range<u64>,
}

impl Plan {
    pub(super) fn new(files: Arc<Files>, index: usize, range: Range<u64>) -> Self {
        Self {
            files,
            index,
            levels: vec![Level {
                sealed: None,
                at: range.start,
                end: range.end,
            }],
            run: None,
            ready: VecDeque::new(),
        }
    }

    pub(super) fn edition(&self) -> u64 {
        self.files.edition
    }

    pub(super) fn found(&self) -> &Found {
        &self.files.found[self.index]
    }

    pub(super) fn next(&mut self, mapped: &Mapped) -> Next {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Next::Step(step);
            }
            if let Some(run) = &mut self.run {
                let (file, offset) = (run.file, run.at);
                if !run.look_up(mapped, &mut self.ready) {
                    return Next::Unknown { file, offset };
                }
                if run.at >= run.end {
                    self.run = None;
                }
                continue;
            }
            if !self.enter(mapped) {
                return Next::End;
            }
        }
    }

    /// Goes on to the next piece, into an encryption or out of it. `false` at the end.
    fn enter(&mut self, mapped: &Mapped) -> bool {
        let Some(level) = self.levels.last_mut() else {
            return false;
        };
        let layout = match (&level.sealed, &self.files.found[self.index].map) {
            (Some(sealed), _) => sealed.stored(),
            (None, Ok(layout)) => layout,
            (None, Err(_)) => &Layout::default(),
        };
        let Some(piece) = layout.cut(level.at..level.end).next() else {
            if level.sealed.is_some() {
                self.ready.push_back(Step::Close);
            }
            self.levels.pop();
            return !self.levels.is_empty();
        };
        let whole = &layout.pieces()[layout
            .pieces()
            .partition_point(|p| p.at + p.len <= level.at)];
        level.at += piece.len;
        let range = piece.offset..piece.offset + piece.len;
        match piece.source {
            Source::Sealed(sealed) => {
                let (stored, opener) = sealed.open(range);
                self.ready.push_back(Step::Open(Box::new(opener)));
                self.levels.push(Level {
                    sealed: Some(sealed),
                    at: stored.start,
                    end: stored.end,
                });
            }
            Source::Posted(file) => {
                if piece.certainty == Certainty::Provisional && !mapped.is_believed(file) {
                    self.ready.push_back(Step::Verify(file));
                }
                self.run = Some(Run {
                    file,
                    at: range.start,
                    end: range.end,
                    piece: whole.offset..whole.offset + whole.len,
                });
            }
        }
        true
    }
}

impl Run {
    /// Adds the articles of the next bytes. `false` if nothing is known of the file.
    fn look_up(&mut self, mapped: &Mapped, ready: &mut VecDeque<Step>) -> bool {
        let end = self.end.min(self.at + LOOK_UP_BYTES);
        let slices = mapped.post().slices(self.file, self.at..end);
        let Some(last) = slices.last() else {
            return false;
        };
        let reached = last.at + last.len;
        for slice in slices {
            ready.push_back(Step::Take(Take {
                at: slice.segment.map(|segment| At {
                    file: self.file,
                    segment,
                }),
                file: self.file,
                begin: slice.at - slice.offset,
                offset: slice.offset,
                len: slice.len,
                piece: self.piece.clone(),
            }));
        }
        self.at = reached;
        true
    }
}
