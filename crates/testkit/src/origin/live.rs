//! The live edge: which segments exist now, under which numbers, and their bytes.
//!
//! A segment's *index* counts from the origin's start and never goes back; its *number* is what the
//! playlist calls it, and begins again at 0 when the encoder restarts.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use hls::aes128;
use hls::ts::{PACKET_LEN, SYNC_BYTE};
use tokio::time::Instant;

use super::spec::{DISCONTINUITY_EVERY, Iv, Quirk, Shape, Spec};

/// The key of [`Shape::Aes128`].
pub(super) const KEY: [u8; 16] = *b"perennial test 1";
/// Segments in a file of [`Shape::ByteRange`].
pub(super) const PER_FILE: u64 = 6;

#[derive(Debug)]
pub(super) struct Live {
    pub(super) spec: Spec,
    started: Instant,
    started_unix_ms: i64,
    /// The last two times that numbering began, oldest first.
    epochs: Mutex<Vec<Epoch>>,
}

/// A run of the encoder: the segment `index` has the number `number`.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    index: u64,
    number: u64,
}

/// The playlist at one moment: the segments of these indexes, end exclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) first: u64,
    pub(super) end: u64,
    epoch: Epoch,
}

/// What a segment's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The segment of this index; `late` when the playlist no longer lists it.
    Segment { index: u64, late: bool },
    /// Too old.
    Gone,
    /// Not made yet.
    Future,
}

impl Live {
    pub(super) fn new(spec: Spec) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let listed = spec.segment * u32::try_from(spec.window).unwrap_or(u32::MAX);
        Self {
            started: Instant::now(),
            started_unix_ms: now.saturating_sub(listed).as_millis() as i64,
            epochs: Mutex::new(vec![Epoch {
                index: 0,
                number: spec.first_number,
            }]),
            spec,
        }
    }

    /// Segments made so far. The first window is there from the start.
    pub(super) fn head(&self) -> u64 {
        let cadence = self.spec.cadence().as_secs_f64();
        self.spec.window + (self.started.elapsed().as_secs_f64() / cadence) as u64
    }

    /// Numbers begin at 0 with the next segment.
    pub(super) fn renumber(&self) {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.push(Epoch {
            index: self.head(),
            number: 0,
        });
        if epochs.len() > 2 {
            epochs.remove(0);
        }
    }

    /// The playlist when `head` segments had been made. A restarted encoder leaves the old one in place
    /// until it has a segment.
    pub(super) fn window(&self, head: u64) -> Window {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let at = epochs
            .iter()
            .rposition(|epoch| epoch.index < head)
            .unwrap_or(0);
        let end = epochs.get(at + 1).map_or(head, |next| next.index.min(head));
        let epoch = epochs[at];
        Window {
            first: end.saturating_sub(self.spec.window).max(epoch.index),
            end,
            epoch,
        }
    }

    /// The segment that is called `number` now: the newest one of that name.
    pub(super) fn find(&self, number: u64) -> Found {
        let head = self.head();
        let window = self.window(head);
        let epochs = self
            .epochs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut ends = epochs
            .iter()
            .skip(1)
            .map(|next| next.index)
            .chain([u64::MAX])
            .collect::<Vec<_>>();
        for epoch in epochs.iter().rev() {
            let end = ends.pop().unwrap_or(u64::MAX);
            let Some(index) = number.checked_sub(epoch.number).map(|n| epoch.index + n) else {
                continue;
            };
            if index >= end.min(head) {
                continue;
            }
            let gone = index + self.spec.retain < window.first;
            return if gone {
                Found::Gone
            } else {
                Found::Segment {
                    index,
                    late: index < window.first,
                }
            };
        }
        if number < window.number(window.first) {
            Found::Gone
        } else {
            Found::Future
        }
    }

    /// Date of a segment's first picture.
    pub(super) fn unix_ms(&self, index: u64) -> i64 {
        let since_start = self.spec.segment.as_millis() as i64 * index as i64;
        self.started_unix_ms + since_start
    }

    /// Whether a discontinuity stands before a segment.
    pub(super) fn is_discontinuity(&self, index: u64) -> bool {
        self.spec.has(Quirk::Discontinuity)
            && index % DISCONTINUITY_EVERY == DISCONTINUITY_EVERY - 1
    }

    /// A segment's media, before encryption.
    pub(super) fn segment(&self, index: u64, variant: u8) -> Bytes {
        let gops = self.spec.gops();
        let media = self.spec.clip.stream(index * gops, gops);
        if variant == 0 {
            return media;
        }
        let mut body = BytesMut::from(media);
        for _ in 0..variant {
            body.extend_from_slice(&[SYNC_BYTE, 0x1f, 0xff, 0x10]);
            body.resize(body.len() + PACKET_LEN - 4, 0xff);
        }
        body.freeze()
    }

    pub(super) fn segment_len(&self, index: u64) -> usize {
        let gops = self.spec.gops();
        self.spec.clip.stream_len(index * gops, gops)
    }

    /// What goes over the wire for a segment.
    pub(super) fn wire(&self, index: u64, number: u64, variant: u8) -> Bytes {
        let media = self.segment(index, variant);
        match self.spec.shape {
            Shape::Aes128(iv) => aes128::encrypt(&media, &KEY, &self.iv(iv, index, number)).into(),
            _ => media,
        }
    }

    pub(super) fn iv(&self, iv: Iv, index: u64, number: u64) -> [u8; 16] {
        match iv {
            Iv::Implicit => u128::from(number).to_be_bytes(),
            // Any value that a sequence number cannot be.
            Iv::Explicit => (u128::MAX - u128::from(index)).to_be_bytes(),
        }
    }

    /// A file of [`Shape::ByteRange`] as far as it is written.
    pub(super) fn file(&self, file: u64) -> Bytes {
        let end = (file * PER_FILE + PER_FILE).min(self.head());
        let mut body = BytesMut::new();
        for index in file * PER_FILE..end {
            body.extend_from_slice(&self.segment(index, 0));
        }
        body.freeze()
    }

    /// Where a segment begins in its file.
    pub(super) fn file_offset(&self, index: u64) -> usize {
        (index / PER_FILE * PER_FILE..index)
            .map(|before| self.segment_len(before))
            .sum()
    }
}

impl Window {
    pub(super) fn number(&self, index: u64) -> u64 {
        self.epoch.number + (index - self.epoch.index)
    }

    /// The first index of the numbering.
    pub(super) fn epoch_start(&self) -> u64 {
        self.epoch.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_restarted_encoder_numbers_from_zero_and_uses_names_again() {
        let live = Live::new(Spec {
            first_number: 100,
            ..Spec::default()
        });
        let window = |live: &Live| {
            let window = live.window(live.head());
            (window.number(window.first), window.end - window.first)
        };
        assert_eq!(window(&live), (100, 6));
        assert_eq!(live.find(106), Found::Future);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(window(&live), (102, 6));
        assert_eq!(
            live.find(101),
            Found::Segment {
                index: 1,
                late: true
            }
        );

        live.renumber();
        assert_eq!(window(&live), (102, 6));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(window(&live), (0, 1));
        assert_eq!(
            live.find(0),
            Found::Segment {
                index: 8,
                late: false
            }
        );
        assert_eq!(
            live.find(107),
            Found::Segment {
                index: 7,
                late: true
            }
        );
        assert_eq!(live.find(108), Found::Future);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(window(&live), (25, 6));
        assert_eq!(live.find(107), Found::Gone);
    }
}
