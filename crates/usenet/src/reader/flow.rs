//! A reader at work.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nzb::layout::Opener;
use tokio::time::Instant;

use super::Hole;
use super::plan::{Next, Plan, Step, Take};
use crate::article::{Lane, Miss, Phase};
use crate::articles::Handle;
use crate::import::Engine;
use crate::mapped::Mapped;
use crate::{File, Mount, ReadError};

/// Read ahead at the start; doubled whenever the reader had to wait.
const WINDOW_BYTES_MIN: u64 = 2 << 20;
/// And at most, whatever the bandwidth.
const WINDOW_BYTES_MAX: u64 = 48 << 20;
/// Steps planned ahead: articles may be tiny.
const STEPS_MAX: usize = 512;
/// Articles at the front of the plan that are wanted before others' read-ahead.
const NEAR: usize = 2;
/// How long an article is waited for, through all providers.
const WAIT: Duration = Duration::from_secs(45);
/// Between two attempts when no provider answers.
const AGAIN: Duration = Duration::from_millis(500);
/// Times that the map may change under one byte: each change makes some place exact.
const MOVES_MAX: u32 = 64;
/// Clear bytes made from encrypted ones at once.
const CLEAR_BYTES: u64 = 256 << 10;

#[derive(Debug)]
pub(super) struct Flow {
    mount: Arc<Mount>,
    index: usize,
    engine: Engine,
    mapped: Arc<Mapped>,
    plan: Plan,
    /// What comes next, with the articles that were asked for.
    steps: VecDeque<(Step, Option<Handle>)>,
    ahead: u64,
    window: u64,
    /// The plan goes no further before the consumer has come to its end.
    is_blocked: bool,
    openers: Vec<Opener>,
    /// Where in the file the next bytes belong.
    at: u64,
    end: u64,
    /// Bytes of the step at hand that are done with, and the edition that they were of.
    done: u64,
    edition: Option<u32>,
    /// The first article is handed out while it arrives.
    is_first: bool,
    /// What the step at hand is filled with.
    hole: Option<Hole>,
    /// Times that the map was other than planned since the last byte.
    moves: u32,
}

/// What waiting for an article came to.
enum Got {
    Bytes(Bytes),
    /// The article is not where it was thought to be.
    Moved,
    Gone(Miss),
}

impl Flow {
    pub(super) async fn start(file: &File, range: Range<u64>) -> Result<Self, ReadError> {
        let mount = file.mount.clone();
        let mapped = mount.mapped().await?;
        let engine = mount.engine(Lane::ReadAhead).ok_or(ReadError::Closed)?;
        let files = mapped.files();
        let known = files.found.get(file.index);
        if !known.is_some_and(|found| found.size == file.info.size && found.map.is_ok()) {
            return Err(ReadError::Map(format!(
                "{} is not what it was",
                file.info.path
            )));
        }
        Ok(Self {
            plan: Plan::new(files, file.index, range.clone()),
            index: file.index,
            window: (engine.read_ahead_bytes)
                .unwrap_or_else(|| WINDOW_BYTES_MIN.min(engine.articles.share())),
            engine,
            mount,
            mapped,
            steps: VecDeque::new(),
            ahead: 0,
            is_blocked: false,
            openers: Vec::new(),
            at: range.start,
            end: range.end,
            done: 0,
            edition: None,
            is_first: true,
            hole: None,
            moves: 0,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Bytes, ReadError> {
        loop {
            if self.mount.is_closed() {
                return Err(ReadError::Closed);
            }
            self.look_ahead();
            match self.steps.front() {
                None => return Err(ReadError::Map("the map ends before the file".to_owned())),
                Some((Step::Verify(file), _)) => {
                    let file = *file;
                    let near = self.engine.at(Lane::Demand);
                    self.mapped.verify(&near, file).await?;
                    self.is_blocked = false;
                    let verified = self.steps.pop_front();
                    if self.mapped.files().edition != self.plan.edition() {
                        self.replan()?;
                    } else {
                        self.look_ahead();
                    }
                    // Only now: what it had asked for is wanted again.
                    drop(verified);
                }
                Some((Step::Open(_) | Step::Close, _)) => match self.pop() {
                    Some(Step::Open(opener)) => self.openers.push(*opener),
                    _ => drop(self.openers.pop()),
                },
                Some((Step::Take(take), _)) => {
                    let take = take.clone();
                    if let Some(bytes) = self.take(&take).await? {
                        return Ok(bytes);
                    }
                }
            }
        }
    }

    fn pop(&mut self) -> Option<Step> {
        let (step, _) = self.steps.pop_front()?;
        if let Step::Take(take) = &step {
            self.ahead -= take.len;
        }
        (self.done, self.edition, self.hole) = (0, None, None);
        Some(step)
    }

    /// Plans as far as the window goes, and asks for the articles.
    fn look_ahead(&mut self) {
        while !self.is_blocked
            && self.steps.len() < STEPS_MAX
            && (self.ahead < self.window || self.steps.is_empty())
        {
            match self.plan.next(&self.mapped) {
                Next::End => {
                    self.is_blocked = true;
                }
                Next::Unknown { file, offset } => {
                    // Its first article tells; the one that will be read is asked for beside it.
                    self.is_blocked = true;
                    let guess = self.guess(file, offset);
                    self.steps.push_back((Step::Verify(file), guess));
                }
                Next::Step(step) => {
                    let handle = match &step {
                        Step::Take(take) => {
                            self.ahead += take.len;
                            self.ask(take)
                        }
                        Step::Verify(file) => self.ask_front(*file),
                        Step::Open(_) | Step::Close => None,
                    };
                    self.steps.push_back((step, handle));
                }
            }
        }
    }

    fn lane(&self) -> Lane {
        match self.steps.len() {
            0 => Lane::Demand,
            near if near <= NEAR => Lane::Near,
            _ => Lane::ReadAhead,
        }
    }

    fn get(&self, file: u32, segment: usize, lane: Lane) -> Option<Handle> {
        let at = crate::post::At { file, segment };
        let id = self.mapped.post().id(at)?.clone();
        Some(self.engine.articles.get(&id, lane, self.engine.stream))
    }

    fn ask(&self, take: &Take) -> Option<Handle> {
        self.get(take.file, take.at?.segment, self.lane())
    }

    fn ask_front(&self, file: u32) -> Option<Handle> {
        self.get(file, 0, self.lane())
    }

    fn guess(&self, file: u32, offset: u64) -> Option<Handle> {
        let front = self.ask_front(file);
        let like = self
            .plan
            .found()
            .map
            .as_ref()
            .ok()?
            .pieces()
            .iter()
            .find_map(|piece| match piece.source {
                nzb::layout::Source::Posted(other) if other != file => Some(other),
                _ => None,
            });
        let segment = self.mapped.post().guess(file, like?, offset)?;
        let guess = self.get(file, segment, self.lane());
        // The front is asked for again in a moment, by whoever verifies.
        drop(front);
        guess
    }

    /// Plans again from where the bytes handed out end. What is on its way stays.
    fn replan(&mut self) -> Result<(), ReadError> {
        self.moves += 1;
        if self.moves > MOVES_MAX {
            return Err(ReadError::Map(
                "headers of the post contradict each other".to_owned(),
            ));
        }
        let before = std::mem::take(&mut self.steps);
        self.plan = Plan::new(self.mapped.files(), self.index, self.at..self.end);
        self.openers.clear();
        (self.ahead, self.is_blocked) = (0, false);
        (self.done, self.edition, self.hole) = (0, None, None);
        self.look_ahead();
        drop(before);
        Ok(())
    }

    /// The next bytes of a run; `None` if there is more to do first.
    async fn take(&mut self, take: &Take) -> Result<Option<Bytes>, ReadError> {
        if let Some(hole) = self.hole {
            return Ok(self.fill(hole, take));
        }
        match self.wait(take).await? {
            Got::Bytes(bytes) => {
                self.moves = 0;
                self.advance(take, bytes.len() as u64);
                Ok(self.clear(bytes))
            }
            Got::Moved => {
                self.replan()?;
                Ok(None)
            }
            Got::Gone(miss) => {
                let hole = self.hole(take, &miss)?;
                self.hole = Some(hole);
                Ok(self.fill(hole, take))
            }
        }
    }

    fn advance(&mut self, take: &Take, len: u64) {
        self.done += len;
        if self.done == take.len {
            self.pop();
            self.is_first = false;
        }
    }

    /// Waits for bytes of the run that are here, and sure enough.
    async fn wait(&mut self, take: &Take) -> Result<Got, ReadError> {
        let Some(at) = take.at else {
            return Ok(Got::Gone(Miss::Missing));
        };
        let deadline = Instant::now() + WAIT;
        loop {
            let handle = match self.get(at.file, at.segment, Lane::Demand) {
                Some(handle) => handle,
                None => return Ok(Got::Gone(Miss::Missing)),
            };
            if !handle.is_done() && !self.is_first {
                self.widen();
            }
            let from = take.offset + self.done;
            let is_first = self.is_first;
            let mut changes = handle.watch();
            let ready = changes.wait_for(|state| match state.phase {
                Phase::Done | Phase::Failed(_) | Phase::Abandoned => true,
                // Its last bytes are not shown before its CRC was checked.
                Phase::Queued | Phase::Active => {
                    let whole = state.part.as_ref().map_or(0, |part| part.len());
                    is_first && from < state.len && state.len < whole
                }
            });
            let state = match tokio::time::timeout_at(deadline, ready).await {
                Ok(Ok(state)) => state.clone(),
                Ok(Err(_)) => return Err(ReadError::Closed),
                Err(_) => {
                    let what = format!("not here within {} s", WAIT.as_secs());
                    return Err(Miss::Unavailable(what).error(&handle.id));
                }
            };
            match &state.phase {
                Phase::Failed(Miss::Unavailable(_)) | Phase::Abandoned
                    if Instant::now() + AGAIN < deadline =>
                {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Phase::Failed(miss) if self.done == 0 && miss.is_final() => {
                    return Ok(Got::Gone(miss.clone()));
                }
                Phase::Failed(miss) => return Err(miss.error(&handle.id)),
                _ => {}
            }
            if *self.edition.get_or_insert(state.edition) != state.edition && self.done > 0 {
                return Err(ReadError::Damaged {
                    host: "a provider".to_owned(),
                    article: handle.id.to_string(),
                    what: "its first bytes were not those that were posted".to_owned(),
                });
            }
            return Ok(self.judge(take, &state));
        }
    }

    /// Whether the article is what was planned with, and the bytes of the run.
    fn judge(&mut self, take: &Take, state: &crate::article::State) -> Got {
        let (Some(at), Some(part)) = (take.at, &state.part) else {
            return Got::Gone(Miss::Missing);
        };
        let is_known = self.done > 0 || self.mapped.learn(at, part);
        if !is_known {
            return Got::Gone(Miss::Missing);
        }
        let is_in_place = part.begin == take.begin && take.offset + take.len <= part.len();
        if !is_in_place {
            return Got::Moved;
        }
        match state.run(take.offset + self.done, take.len - self.done) {
            Some(bytes) => Got::Bytes(bytes),
            None => Got::Gone(Miss::Missing),
        }
    }

    /// The reader had to wait: more is fetched ahead from now on.
    fn widen(&mut self) {
        if self.engine.read_ahead_bytes.is_some() {
            return;
        }
        let article = self.steps.iter().find_map(|(step, _)| match step {
            Step::Take(take) => Some(take.offset + take.len),
            _ => None,
        });
        // More articles than all connections can have on their way are of no use.
        let width = self.engine.articles.pool.width() as u64 + 4;
        let useful = width.saturating_mul(article.unwrap_or(1 << 20));
        let max = useful.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let max = max.min(self.engine.articles.share());
        self.window = (self.window * 2).min(max);
    }

    /// Takes bytes through the encryptions around them. `None` if no whole block came out.
    fn clear(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.openers.is_empty() {
            self.at += bytes.len() as u64;
            return Some(bytes);
        }
        let clear = self.open(bytes);
        self.at += clear.len() as u64;
        (!clear.is_empty()).then_some(clear)
    }

    fn open(&mut self, bytes: Bytes) -> Bytes {
        let mut bytes = bytes;
        for opener in self.openers.iter_mut().rev() {
            let mut clear = Vec::with_capacity(bytes.len() + 16);
            opener.push(&bytes, &mut clear);
            bytes = clear.into();
        }
        bytes
    }

    /// Whether a hole may be filled, and what it is.
    fn hole(&mut self, take: &Take, miss: &Miss) -> Result<Hole, ReadError> {
        let refused = || match take.at.and_then(|at| self.mapped.post().id(at).cloned()) {
            Some(id) => miss.error(&id),
            None => ReadError::Missing {
                article: format!("of bytes {} on, which the nzb does not name", take.begin),
            },
        };
        let kind = self.plan.found().kind;
        let begin = take.begin;
        let slices = self
            .mapped
            .post()
            .slices(take.file, begin..begin + (16 << 20));
        let len = slices.first().map_or(take.len, |slice| slice.len);
        if !kind.is_some_and(|kind| kind.is_video())
            || !self
                .mount
                .fill(take.file, begin, len, self.plan.found().size)
        {
            return Err(refused());
        }
        let here = begin + take.offset + self.done;
        let (from, to) = (
            begin.max(take.piece.start),
            (begin + len).min(take.piece.end),
        );
        let is_sealed = !self.openers.is_empty();
        Ok(Hole {
            start: self.at.saturating_sub(here.saturating_sub(from)),
            end: self.at + to.saturating_sub(here),
            // Behind an encryption the places of blocks and bytes differ: zeros fit everywhere.
            kind: kind.filter(|kind| !is_sealed || *kind != nzb::archive::Kind::Matroska),
        })
    }

    fn fill(&mut self, hole: Hole, take: &Take) -> Option<Bytes> {
        let len = (take.len - self.done).min(CLEAR_BYTES);
        self.advance(take, len);
        // At most `CLEAR_BYTES`.
        let nothing = BytesMut::zeroed(len as usize).freeze();
        let opened = self.open(nothing);
        let mut filled = BytesMut::from(&opened[..]);
        hole.fill(self.at, &mut filled);
        self.at += filled.len() as u64;
        (!filled.is_empty()).then(|| filled.freeze())
    }
}
