//! Live sources as a script has them: what a request to one brings, and after how long.

use std::time::Duration;

use base::{ErrorKind, Time};
use bytes::Bytes;

use super::super::*;
use crate::container::{Container, Inspection};

/// A live source: a segment of `duration_s` is listed when it is complete.
#[derive(Clone, Debug)]
pub(super) struct FakeSource {
    pub(super) name: &'static str,
    pub(super) account: Option<&'static str>,
    pub(super) first_msn: u64,
    /// Shifts its segments in time.
    pub(super) phase_ms: u64,
    pub(super) fault: Fault,
    pub(super) epoch: u64,
    pub(super) began_ms: u64,
    pub(super) duration_s: u64,
    pub(super) extra: &'static str,
    /// Before the name of each segment.
    pub(super) scheme: &'static str,
    /// An unknown tag stands before this one.
    pub(super) marked: Option<u64>,
    /// Its link redirects to this one of its hosts; the others have died.
    pub(super) edge: Option<u64>,
    /// The playlist as it was last written.
    pub(super) listed: Option<(Listed, Bytes)>,
}

/// What a playlist depends on.
pub(super) type Listed = (u64, u64, u64, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nobody answers.
    Refused,
    /// Nothing comes until the time-out.
    Stalled,
    /// The playlist stands still since then.
    Frozen(u64),
    /// Segments are no media.
    BadSegments,
    /// Every so many-th segment is no media.
    SomeBad(u64),
    /// Segments take this share of their duration to arrive, in per cent.
    Slow(u64),
    /// Everything is answered with this status, and a wish to be left alone for so many seconds.
    Status(u16, Option<u64>),
    /// Segments are listed and are not there.
    Lie,
    /// A page instead of a playlist, and instead of segments.
    Html,
    /// Nobody answers during every second of these spans of milliseconds.
    Flap(u64),
    /// The playlist ended then.
    Ended(u64),
}

const WINDOW: u64 = 6;
const LATENCY: Duration = Duration::from_millis(20);

impl FakeSource {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            account: None,
            first_msn: 1000,
            phase_ms: 0,
            fault: Fault::None,
            epoch: 0,
            began_ms: 0,
            duration_s: 2,
            extra: "",
            scheme: "",
            marked: None,
            edge: None,
            listed: None,
        }
    }

    /// An encoder that begins again, its segments at the same times under new numbers.
    pub(super) fn restart(&mut self, now_ms: u64) {
        let duration_ms = self.duration_s * 1000;
        let age_ms = now_ms + self.phase_ms - self.began_ms;
        self.began_ms += age_ms / duration_ms * duration_ms;
        (self.first_msn, self.epoch) = (0, self.epoch + 1);
    }

    pub(super) fn def(&self) -> SourceDef {
        let url = format!("http://{}.example/live.m3u8", self.name);
        SourceDef {
            url: url.parse().unwrap(),
            identity: self.name.to_owned(),
            account: self.account.map(str::to_owned),
        }
    }

    fn playlist(&mut self, now_ms: u64) -> Bytes {
        let now_ms = match self.fault {
            Fault::Frozen(at) | Fault::Ended(at) => at.min(now_ms),
            _ => now_ms,
        };
        let age_ms = (now_ms + self.phase_ms).saturating_sub(self.began_ms);
        let newest = age_ms / (self.duration_s * 1000);
        let ended = matches!(self.fault, Fault::Ended(_));
        let listed = (self.epoch, self.first_msn, newest, ended);
        if let Some((of, body)) = &self.listed
            && *of == listed
        {
            return body.clone();
        }
        let body = Bytes::from(self.written(newest, ended));
        self.listed = Some((listed, body.clone()));
        body
    }

    fn written(&self, newest: u64, ended: bool) -> String {
        use std::fmt::Write;
        let first = newest.saturating_sub(WINDOW);
        let mut text = String::with_capacity(400);
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n{}",
            self.duration_s,
            self.first_msn + first,
            self.extra
        );
        for index in first..newest {
            let (seconds, name, epoch) = (self.duration_s, self.name, self.epoch);
            let number = self.first_msn + index;
            if self.marked == Some(number) {
                text += "#EXT-X-MARK\n";
            }
            let (inf, scheme) = (format_args!("#EXTINF:{seconds}.000,"), self.scheme);
            let _ = write!(text, "{inf}\n{scheme}{name}-{epoch}-{number}.ts\n");
        }
        if ended {
            text += "#EXT-X-ENDLIST\n";
        }
        text
    }

    /// How long a fetch takes, and whether anything comes.
    pub(super) fn outcome(&mut self, now: Time, order: &Order) -> (Duration, Outcome) {
        let fault = self.fault;
        let fail = |kind, status, retry_after| {
            Err(Failure {
                kind,
                status,
                detail: String::new(),
                retry_after,
            })
        };
        let down = || (LATENCY, fail(ErrorKind::Unavailable, None, None));
        let path = order.url.path();
        let edge = self.edge.map(|edge| format!("/edge-{edge}/"));
        let of_edge = |edge: &String| path.starts_with(edge.as_str()) || path == "/live.m3u8";
        if edge.as_ref().is_some_and(|edge| !of_edge(edge)) {
            return (LATENCY, fail(ErrorKind::Denied, Some(403), None));
        }
        let segment = matches!(order.what, What::Segment { .. });
        let number = || path.rsplit(['-', '.']).nth(1).and_then(|n| n.parse().ok());
        match fault {
            Fault::Refused => return down(),
            Fault::Flap(span) if now.as_ms() / span % 2 == 1 => return down(),
            Fault::Stalled => return (order.timeout, fail(ErrorKind::Timeout, None, None)),
            Fault::Status(status, wish) => {
                let wish = wish.map(Duration::from_secs);
                return (LATENCY, fail(ErrorKind::Unavailable, Some(status), wish));
            }
            Fault::Lie if segment => {
                return (LATENCY, fail(ErrorKind::NotFound, Some(404), None));
            }
            Fault::BadSegments | Fault::Html if segment => {
                return (LATENCY, fail(ErrorKind::Corrupt, None, None));
            }
            Fault::SomeBad(each)
                if segment && number().is_some_and(|n: u64| n.is_multiple_of(each)) =>
            {
                return (LATENCY, fail(ErrorKind::Corrupt, None, None));
            }
            _ => {}
        }
        let took = match fault {
            Fault::Slow(percent) if segment => {
                Duration::from_millis(self.duration_s * percent * 10)
            }
            _ => LATENCY,
        };
        if took > order.timeout {
            return (order.timeout, fail(ErrorKind::Timeout, None, None));
        }
        (took, Ok(self.answer(now, order, edge.as_deref())))
    }

    fn answer(&mut self, now: Time, order: &Order, edge: Option<&str>) -> Fetched {
        match order.what {
            What::Source(_) | What::Playlist { .. } if self.fault == Fault::Html => {
                Fetched::Playlist {
                    body: Bytes::from_static(b"<!doctype html><title>Sign in</title>"),
                    final_url: order.url.clone(),
                }
            }
            What::Source(_) | What::Playlist { .. } => Fetched::Playlist {
                body: self.playlist(now.as_ms()),
                final_url: match edge {
                    Some(edge) => order.url.join(&format!("{edge}live.m3u8")).unwrap(),
                    None => order.url.clone(),
                },
            },
            What::Segment { .. } => {
                let name = order.url.path().rsplit('/').next().unwrap();
                Fetched::Segment {
                    body: Bytes::copy_from_slice(name.as_bytes()),
                    inspection: Inspection {
                        container: Container::Ts,
                        damaged_packets: 0,
                        continuity_errors: 0,
                    },
                }
            }
            What::Object { .. } => Fetched::Object(Bytes::from_static(&[7; 16])),
        }
    }
}

pub(super) type Outcome = Result<Fetched, Failure>;
