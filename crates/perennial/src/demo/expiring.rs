//! The demo's stream whose link dies every thirty seconds, and what is on.

use std::time::Duration;

use anyhow::Context;
use live::spec::{ChannelSpec, SourceSpec};
use resolve::document::Format;
use resolve::{Origin as Resolved, ResolverSpec};
use schedule::{Calendar, Race, Session};
use testkit::{Carrier, Clip, Origin, Signing, Spec};

/// The channel, and the resolver behind it.
pub(super) const CHANNEL: &str = "expiring";
const RESOLVER: &str = "demo";
const LIFE: Duration = Duration::from_secs(30);
/// Sessions in a row, so that one is live all day.
const SESSIONS: i64 = 12;
const MINUTES: u32 = 120;

/// An origin that refuses links older than [`LIFE`].
pub(super) async fn start_origin() -> anyhow::Result<Origin> {
    Origin::start(Spec {
        clip: Clip::B,
        signing: Some(Signing {
            carrier: Carrier::Query,
            life: LIFE,
            exclusive: false,
        }),
        ..Spec::default()
    })
    .await
    .context("starting a made-up source whose links expire")
}

pub(super) fn resolver(origin: &Origin) -> ResolverSpec {
    ResolverSpec {
        id: RESOLVER.to_owned(),
        name: "Demo club".to_owned(),
        origin: Resolved::Http {
            url: origin.resolver_url(),
            headers: Vec::new(),
            format: Format::Native,
        },
        interval: Duration::from_secs(1800),
        min_interval: Duration::from_secs(1),
    }
}

pub(super) fn channel() -> ChannelSpec {
    let url = SourceSpec::entry_url(RESOLVER, "cam-1").expect("a valid name");
    ChannelSpec {
        id: CHANNEL.parse().expect("a valid id"),
        title: "A link that dies every 30 seconds".to_owned(),
        group: "Demo".to_owned(),
        logo: String::new(),
        tvg_id: String::new(),
        slate: String::new(),
        target_duration_s: 0,
        sources: vec![SourceSpec {
            url,
            headers: Vec::new(),
            user_agent: String::new(),
            account: String::new(),
        }],
    }
}

/// Sessions of two hours, the first of which began half an hour before `now_ms`.
pub(super) fn calendar(now_ms: i64) -> Calendar {
    let length_ms = i64::from(MINUTES) * 60_000;
    let races = (0..SESSIONS).map(|number| {
        let start_ms = now_ms - length_ms / 4 + number * length_ms;
        let name = format!("Session {}", number + 1);
        Race {
            round: u32::try_from(number + 1).unwrap_or(0),
            race_name: "Perennial demo".to_owned(),
            circuit: "Inside this process".to_owned(),
            date: schedule::rfc3339(start_ms)[..10].to_owned(),
            sessions: vec![Session {
                kind: "event".to_owned(),
                name,
                start_ms,
                duration_minutes: MINUTES,
                all_day: false,
            }],
            ..Race::default()
        }
    });
    Calendar {
        season: String::new(),
        races: races.collect(),
    }
}
