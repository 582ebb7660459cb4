//! Which moment of its source a unit of a stream is: told by its content, whatever its times became.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::packet::since;
use super::{StreamChecker, StreamReport};
use crate::Sha256;

/// The units of sources that are played round and round, by their content.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The source and the time there, in ticks of 90 kHz.
    known: HashMap<Sha256, (usize, i64)>,
    round: i64,
}

/// How well sound and picture of a stream kept together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alignment {
    /// The furthest that sound was from its picture, as compared with the source.
    pub apart_max: Duration,
    /// Units that are a source's.
    pub known: usize,
    /// Units that are not.
    pub unknown: usize,
    /// How often the stream changed from one source to another.
    pub switches: usize,
}

/// Beyond that a sound belongs to no picture.
const NEAR: i64 = 90_000;

impl Moments {
    /// Of sources whose content comes again after `round`.
    pub fn new(round: Duration) -> Self {
        Self {
            known: HashMap::new(),
            round: (round.as_secs_f64() * 90_000.0) as i64,
        }
    }

    /// Takes down the units of a source's segment.
    pub fn learn(&mut self, source: usize, segment: &[u8]) {
        let mut checker = StreamChecker::default();
        checker.push(segment);
        for unit in checker.finish().units {
            self.known.insert(unit.hash, (source, unit.pts));
        }
    }

    /// Compares each unit of a stream's first PID with those of the others beside it.
    pub fn alignment(&self, stream: &StreamReport) -> Alignment {
        let mut alignment = Alignment::default();
        // Each source's last picture: its time, and how far that is from the source's.
        let mut pictures: HashMap<usize, (i64, i64)> = HashMap::new();
        let mut on_air = None;
        let picture_pid = stream.streams.first().map(|(pid, _)| *pid);
        for unit in &stream.units {
            let Some((source, there)) = self.known.get(&unit.hash) else {
                alignment.unknown += 1;
                continue;
            };
            alignment.known += 1;
            let moved = since(unit.pts, *there);
            if Some(unit.pid) == picture_pid {
                pictures.insert(*source, (unit.pts, moved));
                let before = on_air.replace(*source);
                alignment.switches += usize::from(before.is_some_and(|before| before != *source));
            } else if let Some((at, picture)) = pictures.get(source)
                && since(unit.pts, *at).abs() <= NEAR
            {
                let apart = (moved - picture).rem_euclid(self.round);
                let apart = apart.min(self.round - apart);
                let apart = Duration::from_secs_f64(apart as f64 / 90_000.0);
                alignment.apart_max = alignment.apart_max.max(apart);
            }
        }
        alignment
    }
}

impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            apart_max,
            known,
            unknown,
            switches,
        } = self;
        write!(
            f,
            "sound and picture at most {apart_max:?} apart in {known} units ({unknown} unknown), {switches} switches"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clip, GOP};

    #[test]
    fn sound_that_was_moved_alone_is_noticed() {
        let mut moments = Moments::new(GOP * 12);
        moments.learn(0, &Clip::A.stream(0, 4));
        moments.learn(1, &Clip::B.stream(0, 4));
        let heard = |bytes: &[u8]| {
            let mut checker = StreamChecker::default();
            checker.push(bytes);
            checker.finish()
        };
        let rounds_on = heard(&[&Clip::A.stream(12, 2)[..], &Clip::B.stream(14, 1)].concat());
        let alignment = moments.alignment(&rounds_on);
        assert_eq!(
            (alignment.apart_max, alignment.switches),
            (Duration::ZERO, 1),
            "{alignment}"
        );
        // The last unit of each stream is cut off.
        assert!(
            alignment.known > 150 && alignment.unknown <= 2,
            "{alignment}"
        );
        let mut moved = rounds_on;
        for unit in moved.units.iter_mut().filter(|unit| unit.pid == 0x101) {
            unit.pts += 4_500;
        }
        assert_eq!(
            moments.alignment(&moved).apart_max,
            Duration::from_millis(50)
        );
    }
}
