//! One track's segments joined into one stream, each once for all who listen.
//!
//! The joined segments are kept as long as the track's playlist lists theirs.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hls::aes128;
use hls::container::Container;
use hls::timeline::{Entry, EntryKey, KeyUri};
use hls::ts::{Interleaver, Joint, Packets, Splicer, access_points};
use tokio::sync::watch;

use super::choice::Choice;
use crate::channel::Channel;
use crate::view::TrackView;

/// A stream that somebody listens to.
pub(crate) struct Program {
    choice: Choice,
    ring: watch::Sender<Ring>,
    /// Changed only while the channel's [`super::Programs`] are locked.
    listeners: AtomicU64,
}

/// The joined segments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    first: u64,
    segments: VecDeque<Arc<Joined>>,
    ended: bool,
}

/// A segment of the stream.
pub(super) struct Joined {
    msn: u64,
    /// Whole units, behind PAT and PMT; empty where nothing could be carried.
    pub(super) bytes: Bytes,
    pub(super) duration: Duration,
    /// The stream's state behind it.
    pub(super) after: Arc<Splicer>,
    entrance: Entrance,
}

/// Whether a decoder can start in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    AtStart,
    Inside,
    Nowhere,
}

/// What joins the segments.
struct Joiner {
    channel: Arc<Channel>,
    program: Arc<Program>,
    splicer: Splicer,
    last_msn: Option<u64>,
    /// Sound of a playlist of its own.
    sound: Interleaver,
    last_sound_msn: Option<u64>,
}

/// How often the stream says that somebody listens, and looks whether that is so.
const LOOK: Duration = Duration::from_millis(500);
/// Segments that a stream begins with: one for the first listener, one in reserve, and one more for a
/// source whose segments do not all begin with a key picture.
const BEGIN: usize = 3;

/// Pictures wait for their sound until so many further segments of them are there.
const SOUND_BEHIND: u64 = 2;

/// Why a transport stream cannot carry this segment, if so.
pub(super) fn carried(entry: &Entry) -> Result<(), &'static str> {
    if entry.segment.gap {
        return Ok(());
    }
    match entry.segment.container {
        Container::Ts => {}
        Container::Fmp4 => return Err("the source sends fragmented MP4"),
        _ => return Err("the track is no transport stream"),
    }
    match &*entry.segment.keys {
        [] => Ok(()),
        keys if keys.iter().any(is_aes128) => Ok(()),
        _ => Err("the source protects its segments with a method that cannot be removed"),
    }
}

fn is_aes128(key: &EntryKey) -> bool {
    key.method == "AES-128" && key.iv.is_some() && matches!(key.uri, KeyUri::Object(_))
}

impl Program {
    pub(super) fn start(channel: &Arc<Channel>, choice: &Choice) -> Arc<Self> {
        let program = Arc::new(Self {
            choice: choice.clone(),
            ring: watch::Sender::default(),
            listeners: AtomicU64::new(0),
        });
        let joiner = Joiner {
            channel: channel.clone(),
            program: program.clone(),
            splicer: Splicer::new(),
            last_msn: None,
            sound: Interleaver::new(),
            last_sound_msn: None,
        };
        let track = &*choice.track;
        let span = tracing::info_span!("continuous", channel = channel.id().as_str(), track);
        task::spawn("continuous", span, joiner.run());
        program
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Ring> {
        self.ring.subscribe()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ring.borrow().ended
    }

    pub(super) fn listeners(&self) -> u64 {
        self.listeners.load(Ordering::Relaxed)
    }

    pub(super) fn add_listener(&self) {
        self.listeners.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_listener(&self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ring {
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Nothing will be added.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn segment(&self, number: u64) -> Option<&Arc<Joined>> {
        let index = number.checked_sub(self.first)?;
        self.segments.get(usize::try_from(index).ok()?)
    }

    /// The number of the segment where somebody new begins, and whether it can be sent as it is: the
    /// newest with at least one behind it.
    pub(super) fn entrance(&self) -> Option<(u64, bool)> {
        let newest = self.segments.len().checked_sub(1)?;
        let found = |entrance, end| {
            let mut before = self.segments.range(..end);
            before.rposition(|segment| segment.entrance == entrance)
        };
        let at_start =
            found(Entrance::AtStart, newest).or_else(|| found(Entrance::AtStart, newest + 1));
        let inside = || found(Entrance::Inside, newest + 1);
        // Of a codec whose key pictures we do not know.
        let any = || (newest + 1 >= BEGIN).then_some(0);
        let index = at_start.or_else(inside).or_else(any)?;
        Some((self.first + index as u64, at_start.is_some()))
    }

    fn push(&mut self, segment: Joined, first_msn: u64) {
        self.segments.push_back(Arc::new(segment));
        while self.segments.len() > 1 && self.segments[0].msn < first_msn {
            self.segments.pop_front();
            self.first += 1;
        }
    }
}

impl Joiner {
    async fn run(mut self) {
        let stop = self.channel.stop.clone();
        let mut views = self.channel.view.subscribe();
        let mut look = tokio::time::interval(LOOK);
        loop {
            let view = views.borrow_and_update().clone();
            let choice = &self.program.choice;
            let sound = choice.sound.as_ref().and_then(|sound| view.track(sound));
            if let Some(sound) = sound {
                self.take_sound(sound);
            }
            if let Some(track) = view.track(&self.program.choice.track)
                && !self.follow(track).await
            {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                // The channel, which sends them, is held here.
                _ = views.changed() => {}
                _ = look.tick() => {
                    if self.channel.forget(&self.program, false) {
                        break;
                    }
                    let Choice { track, sound } = &self.program.choice;
                    self.channel.want(track);
                    if let Some(sound) = sound {
                        self.channel.want(sound);
                    }
                }
            }
        }
        self.program.ring.send_modify(|ring| ring.ended = true);
        self.channel.forget(&self.program, true);
    }

    /// Joins what is new of the track. False when nothing more will come.
    async fn follow(&mut self, track: &TrackView) -> bool {
        let timeline = track.timeline();
        let first_msn = timeline.listed().next().map_or(0, |entry| entry.msn);
        let mut new: Vec<&Entry> = timeline
            .listed()
            .filter(|entry| self.last_msn.is_none_or(|last| entry.msn > last))
            .collect();
        if self.last_msn.is_none() {
            let bad = new.iter().rposition(|entry| carried(entry).is_err());
            let begin = new
                .len()
                .saturating_sub(BEGIN)
                .max(bad.map_or(0, |bad| bad + 1));
            new.drain(..begin);
        }
        let newest = timeline.next_msn().saturating_sub(1);
        for entry in new {
            if let Err(reason) = carried(entry) {
                self.give_up(reason);
                return false;
            }
            // What is missing or cannot be decrypted is a gap: its time passes.
            let mut body = clear(entry, track).unwrap_or_default();
            if self.program.choice.sound.is_some() {
                let duration = entry.segment.duration;
                let waits = newest - entry.msn < SOUND_BEHIND;
                if waits && !self.sound.covers(entry.dsn, &body, duration) {
                    return true;
                }
                body = self.sound.interleave(entry.dsn, &body, duration).into();
            }
            let segment = self.join(entry, &body);
            self.program
                .ring
                .send_modify(|ring| ring.push(segment, first_msn));
            // Joining is work for a core.
            tokio::task::yield_now().await;
        }
        !timeline.ended()
    }

    /// Takes what is new of the sound.
    fn take_sound(&mut self, track: &TrackView) {
        for entry in track.timeline().listed() {
            if self.last_sound_msn.is_none_or(|last| entry.msn > last) {
                self.last_sound_msn = Some(entry.msn);
                let body = clear(entry, track).unwrap_or_default();
                self.sound.push_sound(entry.dsn, &body);
            }
        }
    }

    fn join(&mut self, entry: &Entry, body: &[u8]) -> Joined {
        let goes_on = self.last_msn.is_some_and(|last| entry.msn == last + 1);
        let joint = if goes_on && !entry.segment.discontinuity {
            Joint::Continuous
        } else {
            Joint::Discontinuity
        };
        self.last_msn = Some(entry.msn);
        let duration = entry.segment.duration;
        let bytes = Bytes::from(self.splicer.push(body, joint, duration));
        self.channel
            .counters
            .ts_joined
            .fetch_add(1, Ordering::Relaxed);
        Joined {
            msn: entry.msn,
            entrance: entrance(&bytes),
            bytes,
            duration,
            after: Arc::new(self.splicer.clone()),
        }
    }

    /// Listeners are cut off, so that their players ask again and are told why.
    fn give_up(&self, reason: &str) {
        tracing::info!(reason, "the continuous stream ends");
        let text = format!(
            "the continuous stream of {} ends: {reason}",
            self.program.choice.track
        );
        let channel = &self.channel;
        channel.shared.emit(channel.id(), "ts_ended", None, text);
    }
}

/// The bytes of a segment without its protection.
fn clear<'a>(entry: &Entry, track: &'a TrackView) -> Option<Cow<'a, [u8]>> {
    let body = &track.segment(entry.msn)?.bytes;
    let Some(key) = entry.segment.keys.iter().find(|key| is_aes128(key)) else {
        return Some(Cow::Borrowed(body));
    };
    let (KeyUri::Object(name), Some(iv)) = (&key.uri, key.iv) else {
        return None;
    };
    let key = track.object(&name.0)?.as_ref().try_into().ok()?;
    match aes128::decrypt(body, key, &iv) {
        Ok(clear) => Some(Cow::Owned(clear)),
        Err(error) => {
            tracing::debug!(msn = entry.msn, %error, "left out of the continuous stream");
            None
        }
    }
}

fn entrance(bytes: &[u8]) -> Entrance {
    let points = access_points(bytes);
    let Some(point) = points.first() else {
        return Entrance::Nowhere;
    };
    // An end of the sequence before, for example, is no place to begin.
    let mut units =
        Packets::new(bytes).filter(|(_, packet)| packet.pid() == point.pid && packet.unit_start());
    match units.next() {
        Some((offset, _)) if offset == point.offset => Entrance::AtStart,
        _ => Entrance::Inside,
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined")
            .field("msn", &self.msn)
            .field("bytes", &self.bytes.len())
            .field("entrance", &self.entrance)
            .finish_non_exhaustive()
    }
}
