//! What a session asks for, and when. What does not answer is asked for once more beside the first
//! request: a connection that hangs stays so when the source has long come back.

use std::time::Duration;

use base::Time;
use url::Url;

use super::{Context, Purpose, Root, SEGMENT_TRIES, Session};
use crate::aes128::iv_from_sequence;
use crate::channel::TrackId;
use crate::channel::cutter::Aim;
use crate::channel::event::{Effect, FetchId, Order, Protection, What};
use crate::channel::feed::{Feed, Slot, SlotState, segment_patience};
use crate::channel::health::again_after;
use crate::channel::ladder::Content;
use crate::channel::objects::Objects;

/// Segments of one feed on their way at once; keys and maps that are asked for in one go.
const AT_ONCE: usize = 3;
const OBJECT_TRIES: u32 = 3;
const OBJECT_TIMEOUT: Duration = Duration::from_secs(5);
const ROOT_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests for the same playlist on their way at once.
const ASKED_MAX: usize = 3;

impl Session {
    /// Asks for everything that is due.
    pub(in crate::channel) fn poll(&mut self, ctx: &mut Context<'_>, wanted: &[TrackId]) {
        if self.root_due().is_some_and(|at| at <= ctx.now) && self.may_ask(&Purpose::Root) {
            self.root = Root::Loading { since: ctx.now };
            let url = self.root_link.url().clone();
            let timeout = self.root_timeout(ctx.aim);
            self.order(ctx, Purpose::Root, url, What::Source(ctx.aim), timeout);
        }
        self.renew_root(ctx);
        self.open_feeds(ctx, wanted);
        let mut tracks: Vec<TrackId> = self.feeds.keys().cloned().collect();
        for track in &tracks {
            self.load_playlist(ctx, track);
        }
        if self.scout {
            return;
        }
        self.fetch_objects(ctx);
        // With one connection, the track that has least comes first.
        tracks.sort_by_key(|track| self.feeds.get(track).map(Feed::ready));
        for track in &tracks {
            self.fetch_segments(ctx, track);
        }
        self.fetch_objects(ctx);
    }

    /// When time alone will give [`Session::poll`] something to ask for. What is due by now and was
    /// not asked for waits for something to arrive.
    pub(in crate::channel) fn wake_after(&self, now: Time) -> Option<Time> {
        let root = self.root_due();
        let loads = self.feeds.values().filter_map(Feed::load_due);
        let slots = self.feeds.values().flat_map(|feed| feed.slots.iter());
        let target = self.target();
        let segments = slots.filter_map(|slot| match slot.state {
            SlotState::Due(at) => Some(at),
            SlotState::Fetching { since } => Some(since + segment_patience(target)),
            _ => None,
        });
        let due = root
            .into_iter()
            .chain(loads)
            .chain(segments)
            .chain(self.renewal)
            .chain(self.objects.next_due());
        due.filter(|at| *at > now).min()
    }

    fn root_due(&self) -> Option<Time> {
        match self.root {
            Root::Due(at) => Some(at),
            // A stream would be open twice.
            Root::Loading { since } if !self.counted && !self.scout => {
                Some(since + again_after(self.target()))
            }
            Root::Loading { .. } | Root::Media | Root::Multi { .. } | Root::Stream { .. } => None,
        }
    }

    /// What is not asked for again beside the first request is given up sooner.
    fn root_timeout(&self, aim: Aim) -> Duration {
        let target = aim
            .target_s
            .filter(|_| self.counted)
            .map(Duration::from_secs);
        target.map_or(ROOT_TIMEOUT, |target| {
            again_after(target).clamp(Duration::from_secs(2), ROOT_TIMEOUT)
        })
    }

    /// Asked beside the first request, a second one is another connection: where the provider counts
    /// them, one request follows the other, and what hangs is given up sooner.
    fn may_ask(&self, purpose: &Purpose) -> bool {
        match self.counted {
            true => self.pending.is_empty(),
            false => self.pending.values().filter(|of| *of == purpose).count() < ASKED_MAX,
        }
    }

    /// Requests of a kind of which `running` are on their way that may be made now.
    fn free_places(&self, running: usize) -> usize {
        match self.counted {
            true => usize::from(self.pending.is_empty()),
            false => AT_ONCE.saturating_sub(running),
        }
    }

    /// Opens a feed for each wanted track and closes those that nobody watches.
    fn open_feeds(&mut self, ctx: &mut Context<'_>, wanted: &[TrackId]) {
        let Some(ladder) = ctx.ladder.as_ref() else {
            return;
        };
        let source = match &self.root {
            Root::Multi { playlist, base } => Some((playlist, base)),
            // Its only playlist may feed several tracks; the one of a single track is open.
            Root::Media if !ladder.is_single() => None,
            Root::Media | Root::Stream { .. } | Root::Due(_) | Root::Loading { .. } => return,
        };
        self.feeds.retain(|track, _| wanted.contains(track));
        let mut lacking = Vec::new();
        for track in wanted {
            if self.feeds.contains_key(track) || !ladder.has(track) {
                continue;
            }
            let feeding = match source {
                Some((playlist, _)) => ladder.feed(track, playlist, ctx.filter),
                None => ladder.feed_single(track),
            };
            match feeding {
                Ok(feeding) => {
                    let url = match (source, feeding.uri) {
                        (Some((_, base)), Some(uri)) => base.join(uri).ok(),
                        _ => Some(self.root_link.url().clone()),
                    };
                    let Some(url) = url else { continue };
                    let mut feed = Feed::new(ctx.now, url, self.start(track));
                    feed.keep = feeding.keep;
                    feed.paced = ladder.content(track).is_some_and(Content::is_played);
                    self.feeds.insert(track.clone(), feed);
                }
                Err(mismatch) => lacking.push((track, mismatch)),
            }
        }
        for (track, mismatch) in lacking {
            self.refuse(track, mismatch);
        }
    }

    fn load_playlist(&mut self, ctx: &mut Context<'_>, track: &TrackId) {
        let purpose = Purpose::Playlist(track.clone());
        let may_ask = self.may_ask(&purpose);
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        if !may_ask || feed.load_due().is_none_or(|at| at > ctx.now) {
            return;
        }
        feed.loading(ctx.now);
        let (url, what) = (
            feed.link.url().clone(),
            What::Playlist {
                conditional: feed.conditional,
            },
        );
        let timeout = match self.counted {
            true => again_after(feed.target),
            false => feed
                .target
                .clamp(Duration::from_secs(3), Duration::from_secs(10)),
        };
        self.order(ctx, purpose, url, what, timeout);
    }

    fn fetch_segments(&mut self, ctx: &mut Context<'_>, track: &TrackId) {
        self.lose_without_objects(track);
        let Some(feed) = self.feeds.get(track) else {
            return;
        };
        let free = self.free_places(feed.fetching());
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let patience = segment_patience(feed.target);
        let (mut orders, mut unusable) = (Vec::new(), Vec::new());
        let asked = feed.worth_asking(ctx.now, self.wary);
        for (place, slot) in feed.slots.iter_mut().take(asked).enumerate() {
            if slot.link != feed.links {
                continue;
            }
            let again = match slot.state {
                SlotState::Due(at) if at <= ctx.now => false,
                // The one that everything waits for.
                SlotState::Fetching { since }
                    if place == 0 && !self.counted && since + patience <= ctx.now =>
                {
                    true
                }
                _ => continue,
            };
            let purpose = Purpose::Segment(track.clone(), slot.id);
            let running_of = || self.pending.values().filter(|of| **of == purpose).count();
            if again && (running_of() > 1 || running_of() as u32 + slot.attempts >= SEGMENT_TRIES) {
                continue;
            }
            if !again && orders.len() >= free {
                break;
            }
            for reference in slot.map.iter().chain(slot.keys.iter().flatten()) {
                self.objects.get(ctx.now, reference);
            }
            let protection = match protection(ctx.now, slot, &mut self.objects) {
                Ok(Some(protection)) => protection,
                Ok(None) => continue,
                Err(detail) => {
                    slot.state = SlotState::Lost;
                    unusable.push(detail);
                    continue;
                }
            };
            slot.state = SlotState::Fetching { since: ctx.now };
            slot.asked = feed.links;
            let what = What::Segment {
                range: slot.segment.byte_range,
                protection,
            };
            orders.push((purpose, slot.url.clone(), what));
        }
        let timeout = match self.counted {
            true => patience,
            false => (feed.target * 2).clamp(Duration::from_secs(4), Duration::from_secs(30)),
        };
        if !unusable.is_empty() {
            feed.progress.segment_failures += unusable.len() as u32;
            feed.pass_over_lost();
        }
        for (purpose, url, what) in orders {
            self.order(ctx, purpose, url, what, timeout);
        }
        for detail in unusable {
            self.trouble(ctx, "key", detail);
        }
    }

    fn fetch_objects(&mut self, ctx: &mut Context<'_>) {
        for reference in self.objects.take_due(ctx.now, self.free_places(0)) {
            let (url, range) = (reference.url.clone(), reference.range);
            let (purpose, what) = (Purpose::Object(reference), What::Object { range });
            self.order(ctx, purpose, url, what, OBJECT_TIMEOUT);
        }
    }

    /// A segment whose key or map does not come is lost, also when its own bytes are there.
    fn lose_without_objects(&mut self, track: &TrackId) {
        let Some(feed) = self.feeds.get_mut(track) else {
            return;
        };
        let mut any = false;
        for slot in feed
            .slots
            .iter_mut()
            .filter(|slot| !matches!(slot.state, SlotState::Lost))
        {
            let mut needed = slot.map.iter().chain(slot.keys.iter().flatten());
            if needed.any(|reference| self.objects.failures(reference) >= OBJECT_TRIES) {
                slot.state = SlotState::Lost;
                feed.progress.segment_failures += 1;
                any = true;
            }
        }
        if any {
            feed.pass_over_lost();
        }
    }

    pub(super) fn order(
        &mut self,
        ctx: &mut Context<'_>,
        purpose: Purpose,
        url: Url,
        what: What,
        timeout: Duration,
    ) {
        *ctx.serial += 1;
        let id = FetchId {
            generation: self.generation,
            serial: *ctx.serial,
        };
        self.pending.insert(id.serial, purpose);
        ctx.out.push(Effect::Fetch(Order {
            id,
            source: self.source,
            url,
            what,
            timeout,
        }));
    }
}

/// How to look into the segment; `None` while its key is on its way. The error says why no player could
/// decrypt it.
fn protection(now: Time, slot: &Slot, objects: &mut Objects) -> Result<Option<Protection>, String> {
    let Some((key, reference)) = slot.aes128() else {
        // Sample encryption leaves the container in the clear; of other methods we know nothing.
        let opaque = slot
            .segment
            .keys
            .iter()
            .any(|key| !key.method.as_str().starts_with("SAMPLE-AES"));
        return Ok(Some(if opaque {
            Protection::Opaque
        } else {
            Protection::Clear
        }));
    };
    let Some(reference) = reference.filter(|_| key.is_identity()) else {
        return Ok(Some(Protection::Opaque));
    };
    let Some(object) = objects.get(now, reference) else {
        return Ok(None);
    };
    let iv = key.iv.unwrap_or_else(|| iv_from_sequence(slot.segment.msn));
    match <[u8; 16]>::try_from(&object.body[..]) {
        Ok(key) => Ok(Some(Protection::Aes128 { key, iv })),
        Err(_) => Err(format!(
            "segment {}: a key of {} bytes, not 16",
            slot.segment.msn,
            object.body.len()
        )),
    }
}
