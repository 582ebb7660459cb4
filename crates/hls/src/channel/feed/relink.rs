//! A feed whose source has a fresh link.

use base::Time;
use url::Url;

use super::{Feed, Link, Load, Place, SlotState, file_name};
use crate::playlist::{Media, Segment};

impl Feed {
    /// Goes on at `url`; without one, waits to be told where the playlist is under the fresh link.
    pub(in crate::channel) fn relink(&mut self, now: Time, url: Option<Url>) {
        self.links += 1;
        self.relinked = true;
        self.conditional = false;
        self.progress.load_failures = 0;
        self.load = match url {
            Some(url) => {
                self.link = Link::new(url);
                Load::Due(now)
            }
            None => Load::Over,
        };
    }

    /// Gives queued segments the URLs of the first playlist of a fresh link; whether this is it.
    pub(super) fn rebase(&mut self, now: Time, media: &Media) -> bool {
        if !std::mem::take(&mut self.relinked) {
            return false;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.carry_on(media);
        }
        let newest = media.segments.last().map_or(0, |segment| segment.msn);
        for index in 0..self.slots.len() {
            let queued = &self.slots[index].segment;
            let listed = media.segments.iter().find(|listed| is_same(queued, listed));
            let place = listed.map(|listed| (listed.clone(), self.place(listed)));
            // A cache of the fresh link may lag: it will list the segment soon.
            let may_come = place.is_none() && queued.msn > newest;
            self.relinked |= may_come;
            let (links, slot) = (self.links, &mut self.slots[index]);
            match (place, &slot.state) {
                (
                    Some((
                        segment,
                        Place {
                            url: Some(url),
                            keys,
                            map,
                        },
                    )),
                    _,
                ) => {
                    (slot.link, slot.url, slot.keys, slot.map) = (links, url, keys, map);
                    slot.segment.uri = segment.uri;
                    slot.segment.keys = segment.keys;
                    if matches!(slot.state, SlotState::Due(_)) {
                        slot.state = SlotState::Due(now);
                    }
                }
                (_, SlotState::Due(_)) if !may_come => {
                    slot.state = SlotState::Lost;
                    self.progress.segment_failures += 1;
                }
                _ => {}
            }
        }
        self.pass_over_lost();
        true
    }
}

/// Whether two playlists of one stream list the same segment: by its number, and by its name or date
/// if those can tell.
fn is_same(queued: &Segment, listed: &Segment) -> bool {
    let dates = queued.date.as_ref().zip(listed.date.as_ref());
    let same_date = dates.map(|(a, b)| a.unix_ms.abs_diff(b.unix_ms) < 1000);
    let same_name = file_name(&queued.uri) == file_name(&listed.uri);
    queued.msn == listed.msn && (same_name || same_date.unwrap_or(true))
}
