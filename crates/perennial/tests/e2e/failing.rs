//! Channels whose first source fails, each in a way of its own, with a healthy one behind it.

use futures_util::future::join_all;
use testkit::gear::{Format, Live};
use testkit::{Clip, Fault, Origin, Spec};
use url::Url;

use super::channel;

/// A channel of two sources.
pub(crate) struct Failing {
    pub(crate) name: &'static str,
    failure: Failure,
    pub(crate) first: Source,
    /// Plays [`Clip::B`].
    pub(crate) second: Origin,
}

impl Failing {
    /// One channel for each of these.
    pub(crate) async fn all(failures: &[(&'static str, Failure)]) -> Vec<Self> {
        let start = async |(name, failure): (&'static str, Failure)| Self {
            name,
            failure,
            first: Source::start(failure).await,
            second: origin(Clip::B).await,
        };
        join_all(failures.iter().map(|failure| start(*failure))).await
    }

    /// The channel of a configuration.
    pub(crate) fn config(&self) -> String {
        channel(self.name, &[&self.first.url(), &self.second.url()])
    }

    /// Its playlist.
    pub(crate) fn path(&self) -> String {
        format!("/live/{}/index.m3u8", self.name)
    }

    /// Breaks the first source.
    pub(crate) fn fail(&mut self) {
        self.first.fail(self.failure);
    }
}

/// How a channel's first source fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    Of(Fault),
    /// The encoder is killed: the playlist that nginx serves stands still.
    Encoder,
    /// nginx is killed: connections are refused.
    Server,
}

const fn status(code: u16) -> Failure {
    let retry_after = None;
    Failure::Of(Fault::Status { code, retry_after })
}

pub(crate) const FAILURES: [(&str, Failure); 12] = [
    ("dead", Failure::Of(Fault::Dead)),
    ("frozen", Failure::Of(Fault::Freeze)),
    ("stalled", Failure::Of(Fault::Stall)),
    ("trickling", Failure::Of(Fault::Trickle)),
    ("status-404", status(404)),
    ("status-403", status(403)),
    ("status-500", status(500)),
    ("status-509", status(509)),
    ("html", Failure::Of(Fault::Html)),
    ("garbage", Failure::Of(Fault::Garbage)),
    ("ffmpeg-killed", Failure::Encoder),
    ("nginx-killed", Failure::Server),
];

/// A source that plays [`Clip::A`].
pub(crate) enum Source {
    Made(Origin),
    Real(Box<Live>),
}

impl Source {
    async fn start(failure: Failure) -> Self {
        match failure {
            Failure::Of(_) => Self::Made(origin(Clip::A).await),
            Failure::Encoder | Failure::Server => {
                let live = Live::start(Clip::A, Format::Ts { segment_s: 2 }).await;
                Self::Real(Box::new(live.expect("ffmpeg and nginx run")))
            }
        }
    }

    fn url(&self) -> Url {
        match self {
            Self::Made(origin) => origin.url(),
            Self::Real(live) => live.url().clone(),
        }
    }

    fn fail(&mut self, failure: Failure) {
        match (self, failure) {
            (Self::Made(origin), Failure::Of(fault)) => origin.set_fault(Some(fault)),
            (Self::Real(live), Failure::Encoder) => live.kill_ffmpeg(),
            (Self::Real(live), _) => live.kill_nginx(),
            (Self::Made(_), _) => unreachable!("each failure has its kind of source"),
        }
    }
}

pub(crate) async fn origin(clip: Clip) -> Origin {
    let spec = Spec {
        clip,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}
