//! Continuous transport streams, for players that know no playlist: one listener to a stream that all
//! listeners of a track share.
//!
//! A listener gets what is there at once and then each segment as it is published. Nothing of it is its
//! own but its place, until it cannot keep up.

mod choice;
mod program;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Time;
use bytes::Bytes;
use hls::ts::{Joint, Splicer};
use tokio::sync::watch;

use crate::channel::{Channel, INDEX, Unavailable};
use crate::viewers::ViewerKey;
use choice::{Choice, choose};
use program::{Joined, Program, Ring, carried};

/// A connection that gets one continuous stream.
pub struct Listener {
    seat: Seat,
    viewer: ViewerKey,
    ring: watch::Receiver<Ring>,
    /// The number of the next segment to send.
    next: u64,
    /// What is left of the segment that is being sent.
    rest: Bytes,
    /// The stream's state after the last segment that was sent.
    after: Arc<Splicer>,
    /// Where the listener left the shared stream: what it gets since then is joined for it alone.
    own: Option<Branch>,
    moves: u32,
    moved_at: Time,
    /// When it last took something; `None` also once it has been told that this was all.
    handed_at: Option<Time>,
}

/// The streams of a channel that somebody listens to, by track.
pub(crate) type Programs = Mutex<HashMap<Arc<str>, Arc<Program>>>;

/// A listener's hold on a stream.
struct Seat {
    channel: Arc<Channel>,
    program: Arc<Program>,
}

struct Branch {
    splicer: Splicer,
    joint: Joint,
}

/// What there is for a listener.
enum Next {
    Segment(Arc<Joined>),
    /// It fell behind; the number of the segment where it may go on.
    Behind(u64),
    Nothing,
    End,
}

/// Bytes handed to a connection at once: one that takes them slowly is noticed after so many.
const CHUNK: usize = 64 * 1024;
/// Silence after which null packets show that the connection lives.
const SILENCE: Duration = Duration::from_secs(1);
/// Seven packets fill a datagram wherever they are passed on in datagrams.
const NULL_PACKETS: usize = 7;
/// A listener that falls behind once more is closed…
const MOVES_MAX: u32 = 2;
/// …but what was so long ago is forgotten: players pause.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Whoever is gone and took nothing for so long was too slow: something is handed out every second.
const STALLED: Duration = Duration::from_secs(30);

impl Channel {
    /// Listens to the channel as one transport stream: to a track by name, or to the best variant with
    /// sound. Starts a cold channel and waits for its first segment.
    pub async fn continuous(
        self: &Arc<Self>,
        track: Option<&str>,
        viewer: ViewerKey,
    ) -> Result<Listener, Unavailable> {
        let limit = self.shared.settings().start_timeout;
        let started = tokio::time::timeout(limit, async {
            let choice = self.choose(track).await?;
            let seat = self.sit(&choice);
            let mut ring = seat.program.subscribe();
            let found = ring.wait_for(|ring| ring.entrance().is_some() || ring.is_ended());
            let entrance = found.await.ok().and_then(|ring| ring.entrance());
            let (next, whole) = entrance.ok_or(Unavailable::Stopping)?;
            Ok((seat, ring, next, whole))
        });
        let (seat, ring, next, whole) = tokio::select! {
            started = started => started.unwrap_or(Err(Unavailable::NotStarted(limit)))?,
            () = self.stop.cancelled() => return Err(Unavailable::Stopping),
        };
        let own = (!whole).then(|| Branch {
            splicer: Splicer::new(),
            joint: Joint::Discontinuity,
        });
        Ok(Listener {
            seat,
            viewer,
            ring,
            next,
            rest: Bytes::new(),
            after: Arc::default(),
            own,
            moves: 0,
            moved_at: Time::ZERO,
            handed_at: None,
        })
    }

    /// Listeners to continuous streams at this moment.
    pub fn listeners(&self) -> u64 {
        let programs = self.programs();
        programs.values().map(|program| program.listeners()).sum()
    }

    /// What to listen to, once it has something that a transport stream can carry.
    async fn choose(self: &Arc<Self>, asked: Option<&str>) -> Result<Choice, Unavailable> {
        self.want(INDEX);
        let only = |track: &str| Choice {
            track: track.into(),
            sound: None,
        };
        let choice = self.wait(|view| match (&view.multivariant, asked) {
            (Some(playlist), asked) => Some(choose(&playlist.identity().body, asked)),
            (None, None | Some("main")) => view.track("main").map(|_| Ok(only("main"))),
            (None, Some(_)) => (!view.tracks.is_empty()).then_some(Err(Unavailable::NotFound)),
        });
        let choice = choice.await?;
        for track in [Some(&choice.track), choice.sound.as_ref()]
            .into_iter()
            .flatten()
        {
            self.want(track);
            let ready = self.wait(|view| {
                let found = view.track(track).filter(|found| found.is_ready())?;
                let bodies = found.timeline().listed().filter(|entry| !entry.segment.gap);
                let newest = bodies.last()?;
                Some(carried(newest).map_err(Unavailable::NotCarried))
            });
            ready.await?;
        }
        Ok(choice)
    }

    fn sit(self: &Arc<Self>, choice: &Choice) -> Seat {
        let mut programs = self.programs();
        let known = programs
            .get(&choice.track)
            .filter(|program| !program.is_ended());
        let program = known.cloned().unwrap_or_else(|| {
            let program = Program::start(self, choice);
            programs.insert(choice.track.clone(), program.clone());
            program
        });
        program.add_listener();
        Seat {
            channel: self.clone(),
            program,
        }
    }

    /// Forgets a stream that has ended or, unless `ended`, that nobody listens to.
    fn forget(&self, program: &Arc<Program>, ended: bool) -> bool {
        let mut programs = self.programs();
        let forgotten = ended || program.listeners() == 0;
        if forgotten {
            programs.retain(|_, known| !Arc::ptr_eq(known, program));
        }
        forgotten
    }

    fn programs(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// The next bytes: whole packets of the stream, or null packets after a second without any. `None`
    /// when the stream ended, or this listener's part in it.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.rest.is_empty() {
                let chunk = self.rest.split_to(self.rest.len().min(CHUNK));
                return self.hand_out(chunk);
            }
            match self.look() {
                Next::Segment(segment) => self.take(&segment),
                Next::Behind(to) if self.may_move() => self.leap(to),
                Next::Behind(_) | Next::End => {
                    self.handed_at = None;
                    return None;
                }
                Next::Nothing => {
                    let stop = self.seat.channel.stop.clone();
                    tokio::select! {
                        _ = self.ring.changed() => {}
                        () = tokio::time::sleep(SILENCE) => return self.hand_out(null_packets()),
                        () = stop.cancelled() => return None,
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Next {
        let ring = self.ring.borrow_and_update();
        match ring.segment(self.next) {
            Some(segment) => Next::Segment(segment.clone()),
            None if self.next < ring.first() => ring
                .entrance()
                .map_or(Next::Nothing, |(at, _)| Next::Behind(at)),
            None if ring.is_ended() => Next::End,
            None => Next::Nothing,
        }
    }

    fn take(&mut self, segment: &Joined) {
        self.rest = match &mut self.own {
            None => segment.bytes.clone(),
            Some(Branch { splicer, joint }) => {
                let joint = std::mem::replace(joint, Joint::Continuous);
                splicer.push(&segment.bytes, joint, segment.duration).into()
            }
        };
        self.after.clone_from(&segment.after);
        self.next += 1;
    }

    /// Whether it is let go on at a later segment instead of being closed.
    fn may_move(&mut self) -> bool {
        let channel = &self.seat.channel;
        let now = channel.shared.clock.now();
        if now - self.moved_at > FORGOTTEN {
            self.moves = 0;
        }
        self.moved_at = now;
        self.moves += 1;
        let may_move = self.moves <= MOVES_MAX;
        self.too_slow(may_move);
        may_move
    }

    /// Counts it, and says so.
    fn too_slow(&self, may_move: bool) {
        let channel = &self.seat.channel;
        let (counter, code, deed) = if may_move {
            (&channel.counters.ts_moved, "ts_moved", "moved ahead")
        } else {
            (&channel.counters.ts_closed, "ts_closed", "closed")
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let text = format!("a listener at {} is too slow: {deed}", self.viewer.address);
        tracing::info!(channel = channel.id().as_str(), code, "{text}");
        channel.shared.emit(channel.id(), code, None, text);
    }

    fn leap(&mut self, to: u64) {
        let splicer = match self.own.take() {
            Some(branch) => branch.splicer,
            None => (*self.after).clone(),
        };
        self.own = Some(Branch {
            splicer,
            joint: Joint::Discontinuity,
        });
        self.next = to;
    }

    /// Counts what is sent; nothing is sent to one who was kicked.
    fn hand_out(&mut self, chunk: Bytes) -> Option<Bytes> {
        let channel = &self.seat.channel;
        let (now, bytes) = (channel.shared.clock.now(), chunk.len() as u64);
        self.handed_at = Some(now);
        if !channel.viewers.admits(&self.viewer, now) {
            return None;
        }
        channel.count_out(bytes);
        channel.viewers.seen(&self.viewer, now, bytes);
        Some(chunk)
    }
}

/// A connection that takes nothing is cut off, which nobody tells the listener.
impl Drop for Listener {
    fn drop(&mut self) {
        let now = self.seat.channel.shared.clock.now();
        if self.handed_at.is_some_and(|at| now - at > STALLED) {
            self.too_slow(false);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _programs = self.channel.programs();
        self.program.remove_listener();
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("next", &self.next)
            .field("moves", &self.moves)
            .finish_non_exhaustive()
    }
}

fn null_packets() -> Bytes {
    static PACKETS: LazyLock<Bytes> = LazyLock::new(|| Splicer::null_packets(NULL_PACKETS).into());
    PACKETS.clone()
}
