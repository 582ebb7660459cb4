//! Reloading the playlist (RFC 8216 §6.3.4), choosing where to begin (§6.3.3) and queueing what is new.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;

use super::report::Lost;
use super::{Mode, Shared};
use crate::checker::{Playlist, PlaylistChecker, Rule, Segment, Violation, check_multivariant};
use crate::http::Fetched;
use crate::reader;

/// A segment to be fetched, and what its URIs are relative to.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) segment: Segment,
    pub(super) base: Url,
}

/// The wait after an error, before a target duration is known.
const TARGET_GUESS: Duration = Duration::from_secs(2);
/// However fast the stream, a playlist is not asked for more often than this.
const RELOAD_MIN: Duration = Duration::from_millis(20);
/// Removed segments that wait to be checked.
const REMOVED_MAX: usize = 1000;

struct Follow {
    shared: Arc<Shared>,
    checker: PlaylistChecker,
    url: Url,
    target: Duration,
    previous: Option<Listed>,
    /// The number of the next segment to play.
    next: Option<u64>,
    /// The longest playlist that had each segment of the last one, by number.
    longest: BTreeMap<u64, Duration>,
    removed: VecDeque<Removed>,
}

/// The playlist before.
struct Listed {
    playlist: Playlist,
    base: Url,
    asked: Instant,
}

/// A segment that has left the playlist and must stay until `due`.
struct Removed {
    number: u64,
    url: Url,
    due: Instant,
}

pub(super) async fn run(shared: Arc<Shared>, queue: mpsc::Sender<Wanted>) {
    let mut follow = Follow {
        checker: PlaylistChecker::new(shared.watch.promises),
        url: shared.watch.url.clone(),
        target: TARGET_GUESS,
        previous: None,
        next: None,
        longest: BTreeMap::new(),
        removed: VecDeque::new(),
        shared,
    };
    loop {
        let asked = Instant::now();
        let wait = match follow.reload(asked, &queue).await {
            Reloaded::Ended => return,
            Reloaded::Elsewhere => continue,
            Reloaded::Changed => follow.target,
            Reloaded::Unchanged => follow.target / 2,
        };
        let next = asked + follow.shared.wall(wait).max(RELOAD_MIN);
        follow.check_removed(next).await;
        tokio::time::sleep_until(next).await;
    }
}

enum Reloaded {
    Changed,
    /// Also after an error.
    Unchanged,
    /// It was a multivariant playlist.
    Elsewhere,
    Ended,
}

impl Follow {
    async fn reload(&mut self, asked: Instant, queue: &mpsc::Sender<Wanted>) -> Reloaded {
        let Shared { client, watch, .. } = &*self.shared;
        let fetched = client.send(Method::GET, &self.url, &watch.headers).await;
        let status = fetched.as_ref().map_or(0, |fetched| fetched.status);
        {
            let report = &mut self.shared.lock().report;
            report.reloads += 1;
            *report.playlist_statuses.entry(status).or_default() += 1;
        }
        let fetched = match fetched {
            Ok(fetched) if fetched.status == 200 => fetched,
            Ok(_) => return Reloaded::Unchanged,
            Err(error) => {
                self.shared.error(&error.to_string());
                return Reloaded::Unchanged;
            }
        };
        let (text, _) = reader::decode(&fetched.body);
        if reader::is_multivariant(&text) {
            return self.choose(&text, &fetched);
        }
        let at = self.shared.started.elapsed();
        let playlist = self.checker.read(at, &fetched.body);
        self.take(asked, playlist, fetched.url, queue)
    }

    fn choose(&mut self, text: &str, fetched: &Fetched) -> Reloaded {
        self.checker.keep(check_multivariant(
            &fetched.body,
            self.shared.watch.promises,
        ));
        self.publish();
        match reader::first_variant(text).map(|uri| fetched.url.join(&uri)) {
            // A variant that is a multivariant playlist itself would go round for ever.
            Some(Ok(url)) if self.url == self.shared.watch.url && url != self.url => {
                self.url = url;
                Reloaded::Elsewhere
            }
            other => {
                self.shared.error(&format!("no variant to play: {other:?}"));
                Reloaded::Unchanged
            }
        }
    }

    /// Queues what is new in `playlist`.
    fn take(
        &mut self,
        asked: Instant,
        playlist: Playlist,
        base: Url,
        queue: &mpsc::Sender<Wanted>,
    ) -> Reloaded {
        self.target = playlist.target_s.map_or(TARGET_GUESS, Duration::from_secs);
        let changed = self
            .previous
            .as_ref()
            .is_none_or(|previous| previous.playlist != playlist);
        self.note_removed(&playlist);
        self.note_listed(&playlist);
        self.publish();

        let end = playlist.end();
        if self.next.is_none() && !playlist.segments.is_empty() {
            self.next = Some(self.begin(&playlist));
        }
        if let Some(next) = self.next.as_mut() {
            if end < *next {
                self.shared.lock().report.rewinds += 1;
                *next = playlist.first_number;
            } else if playlist.first_number > *next {
                let lost = Lost {
                    number: *next,
                    count: playlist.first_number - *next,
                    reason: "removed before it was seen".to_owned(),
                };
                self.shared.lock().report.lost.push(lost);
                *next = playlist.first_number;
            }
            for segment in playlist
                .segments
                .iter()
                .filter(|segment| segment.number >= *next)
            {
                let (number, wanted) = (
                    segment.number,
                    Wanted {
                        segment: segment.clone(),
                        base: base.clone(),
                    },
                );
                if queue.try_send(wanted).is_err() {
                    let lost = Lost {
                        number,
                        count: 1,
                        reason: "the player has fallen behind".to_owned(),
                    };
                    self.shared.lock().report.lost.push(lost);
                }
            }
            *next = end;
        }
        let ended = playlist.ended;
        self.previous = Some(Listed {
            playlist,
            base,
            asked,
        });
        match (ended, changed) {
            (true, _) => Reloaded::Ended,
            (false, true) => Reloaded::Changed,
            (false, false) => Reloaded::Unchanged,
        }
    }

    /// Remembers of each segment the longest playlist that listed it.
    fn note_listed(&mut self, playlist: &Playlist) {
        let listed = Duration::from_secs_f64(playlist.duration_s());
        self.longest = self.longest.split_off(&playlist.first_number);
        for segment in &playlist.segments {
            let longest = self.longest.entry(segment.number).or_default();
            *longest = listed.max(*longest);
        }
    }

    /// The number to begin with: the last from which three target durations are listed, else the first.
    fn begin(&self, playlist: &Playlist) -> u64 {
        if self.shared.watch.mode == Mode::Greedy {
            return playlist.first_number;
        }
        let hold_back = 3.0 * self.target.as_secs_f64();
        let mut listed = 0.0;
        let from = playlist.segments.iter().rev().find(|segment| {
            listed += segment.duration_s;
            listed + 0.001 >= hold_back
        });
        from.map_or(playlist.first_number, |segment| segment.number)
    }

    /// Remembers what the new playlist no longer has.
    fn note_removed(&mut self, playlist: &Playlist) {
        let Some(previous) = self
            .previous
            .as_ref()
            .filter(|_| self.shared.watch.check_removed)
        else {
            return;
        };
        for segment in &previous.playlist.segments {
            let is_gone =
                segment.number < playlist.first_number && !segment.gap && segment.range.is_none();
            if !is_gone || self.removed.len() == REMOVED_MAX {
                continue;
            }
            let Ok(url) = previous.base.join(&segment.uri) else {
                continue;
            };
            // It was still listed when the previous playlist was asked for: it cannot have gone before.
            let longest = self.longest.get(&segment.number).copied();
            let stays = Duration::from_secs_f64(segment.duration_s) + longest.unwrap_or_default();
            let due = previous.asked + self.shared.wall(stays);
            self.removed.push_back(Removed {
                number: segment.number,
                url,
                due,
            });
        }
    }

    /// Asks for the removed segments that may go before the `next` reload.
    async fn check_removed(&mut self, next: Instant) {
        while self
            .removed
            .front()
            .is_some_and(|removed| removed.due <= next)
        {
            let Some(Removed { number, url, due }) = self.removed.pop_front() else {
                return;
            };
            let Shared { client, watch, .. } = &*self.shared;
            let answer = client.send(Method::HEAD, &url, &watch.headers).await;
            // An answer that came too late says nothing.
            if Instant::now() > due {
                continue;
            }
            let detail = match answer {
                Ok(fetched) if fetched.status == 200 => continue,
                Ok(fetched) => format!("segment {number}: status {}", fetched.status),
                Err(error) => format!("segment {number}: {error}"),
            };
            self.checker
                .keep(vec![Violation::new(Rule::RemovedTooEarly, 0, detail)]);
            self.publish();
        }
    }

    fn publish(&self) {
        let report = &mut self.shared.lock().report;
        if report.violations_total != self.checker.violations_total() {
            report.violations_total = self.checker.violations_total();
            report.violations = self.checker.violations().to_vec();
        }
        report.longest_unchanged = self.checker.longest_unchanged();
    }
}
