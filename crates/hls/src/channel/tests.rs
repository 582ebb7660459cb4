//! The machine against scripted sources under a clock of our own.

mod player;
mod relink;
mod rules;
mod sim;
mod source;
mod stories;
mod streams;
mod switches;
mod tracks;

use std::time::Duration;

use super::*;
use sim::Sim;
use source::{FakeSource, Fault};

fn names(source: &str, epoch: u64, range: std::ops::Range<u64>) -> Vec<String> {
    range
        .map(|msn| format!("{source}-{epoch}-{msn}.ts"))
        .collect()
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn a_cold_channel_begins_at_the_edge_and_loses_nothing() {
    let mut sim = Sim::new(&[FakeSource::new("a")]);
    sim.run(seconds(60));
    assert_eq!(sim.contents(), names("a", 0, 1007..1039));
    assert!(!sim.playlists.last().unwrap().contains("DISCONTINUITY"));
    assert_eq!(sim.channel.state(), State::Live);
    let segments = sim
        .requests
        .iter()
        .filter(|(_, path)| path.ends_with(".ts"))
        .count();
    assert_eq!(segments, sim.published.len(), "one request a segment");
}

#[test]
fn a_manual_switch_is_the_next_thing_players_see() {
    let mut sim = Sim::new(&[
        FakeSource::new("a"),
        FakeSource {
            phase_ms: 700,
            ..FakeSource::new("b")
        },
    ]);
    sim.run(seconds(10));
    let before = sim.published.len();
    sim.switch(1);
    sim.run(seconds(10));
    let contents = sim.contents();
    assert!(
        contents[..before].iter().all(|name| name.starts_with("a-")),
        "{contents:?}"
    );
    assert!(
        contents[before..].iter().all(|name| name.starts_with("b-")),
        "{contents:?}"
    );
    let last = sim.playlists.last().unwrap();
    assert_eq!(last.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{last}");
    assert_eq!(
        sim.abandoned.len(),
        2,
        "the look at the other playlist, and the old session"
    );
}

#[test]
fn many_switches_repeat_nothing_and_keep_the_list_long() {
    let mut sim = Sim::new(&[
        FakeSource::new("a"),
        FakeSource {
            phase_ms: 900,
            ..FakeSource::new("b")
        },
    ]);
    sim.run(seconds(30));
    for round in 0..20 {
        sim.switch((round + 1) % 2);
        sim.run(seconds(3));
    }
    let contents = sim.contents();
    let unique: std::collections::HashSet<_> = contents.iter().collect();
    assert_eq!(unique.len(), contents.len(), "{contents:?}");
    for playlist in sim.playlists.iter().skip(12) {
        assert!(playlist.matches("#EXTINF").count() >= 12, "{playlist}");
    }
    assert!(contents.len() >= 40, "{}", contents.len());
}

#[test]
fn a_switch_to_a_dead_source_leaves_the_old_one_on_air() {
    let dead = FakeSource {
        fault: Fault::Refused,
        ..FakeSource::new("b")
    };
    let mut sim = Sim::new(&[FakeSource::new("a"), dead]);
    sim.run(seconds(10));
    sim.switch(1);
    sim.run(seconds(20));
    assert_eq!(sim.contents(), names("a", 0, 1007..1024));
    assert!(sim.troubles().contains(&"switch_failed"));
    assert_eq!(sim.channel.state(), State::Live);
    assert!(!sim.playlists.last().unwrap().contains("DISCONTINUITY"));
}

#[test]
fn a_dead_source_is_left_inside_the_hold_back() {
    let faults = [
        (Fault::Refused, "playlist_unavailable"),
        (Fault::Frozen(30_500), "playlist_unchanged"),
        (Fault::Slow(400), "source_slow"),
        (Fault::BadSegments, "segment"),
    ];
    for (fault, code) in faults {
        let mut sim = Sim::new(&[
            FakeSource::new("a"),
            FakeSource {
                phase_ms: 1100,
                ..FakeSource::new("b")
            },
        ]);
        sim.run(Duration::from_millis(10_500));
        let before = sim.published.len();
        sim.sources[0].fault = fault;
        sim.run(Duration::from_millis(4000 + 2000));
        let contents = sim.contents();
        let own = contents[before..]
            .iter()
            .filter(|name| name.starts_with("b-"))
            .count();
        assert!(own >= 1, "{fault:?}: {contents:?}");
        assert_eq!(
            sim.playlists
                .last()
                .unwrap()
                .matches("#EXT-X-DISCONTINUITY\n")
                .count(),
            1,
            "{fault:?}"
        );
        assert!(sim.troubles().contains(&code), "{:?}", sim.troubles());
    }
}

/// With others ready beside it or not.
#[test]
fn the_preferred_source_is_gone_back_to_when_it_is_well() {
    for (warm_standby, sources) in [(false, 2), (true, 2), (true, 3)] {
        let names = ["a", "b", "c"].into_iter().take(sources);
        let sources: Vec<_> = names.map(FakeSource::new).collect();
        let settings = Settings {
            warm_standby,
            return_after: Some(seconds(10)),
            ..sim::settings(7)
        };
        let mut sim = Sim::with(&sources, Time::from_ms(20_000), HashMap::new(), settings);
        sim.run(seconds(10));
        sim.sources[0].fault = Fault::Status(500, None);
        sim.run(seconds(20));
        assert_eq!(sim.channel.on_air(), Some(1));
        sim.sources[0].fault = Fault::None;
        sim.run(seconds(5));
        assert_eq!(sim.channel.on_air(), Some(1), "too soon");
        sim.run(seconds(40));
        assert_eq!(sim.channel.on_air(), Some(0), "{}", sources.len());
    }
}

#[test]
fn a_frozen_playlist_of_the_only_source_is_waited_out() {
    let mut sim = Sim::new(&[FakeSource::new("a")]);
    sim.run(seconds(10));
    sim.sources[0].fault = Fault::Frozen(sim.now.as_ms());
    sim.run(seconds(20));
    sim.sources[0].fault = Fault::None;
    sim.run(seconds(20));
    let contents = sim.contents();
    // What the source removed meanwhile is gone; what it lists is there, once.
    let unique: std::collections::HashSet<_> = contents.iter().collect();
    assert_eq!(unique.len(), contents.len());
    assert_eq!(contents.last(), Some(&"a-0-1033.ts"));
    assert_eq!(sim.channel.state(), State::Live);
}

#[test]
fn an_upstream_restart_that_renumbers_is_one_discontinuity() {
    let mut sim = Sim::new(&[FakeSource::new("a")]);
    sim.run(seconds(10));
    let source = &mut sim.sources[0];
    (source.first_msn, source.epoch, source.began_ms) = (0, 1, 28_000);
    sim.run(seconds(20));
    let contents = sim.contents();
    assert!(
        contents.ends_with(&["a-1-8.ts", "a-1-9.ts"])
            || contents.ends_with(&["a-1-9.ts", "a-1-10.ts"]),
        "{contents:?}"
    );
    let last = sim.playlists.last().unwrap();
    assert_eq!(last.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{last}");
}

#[test]
fn numbers_go_on_after_a_restart_of_ours() {
    let sources = [FakeSource::new("a")];
    let mut first = Sim::new(&sources);
    first.run(seconds(20));
    let mut second = Sim::with(
        &sources,
        first.now + seconds(3),
        first.position(),
        sim::settings(7),
    );
    second.run(seconds(20));
    let numbered = |sim: &Sim| sim.published.clone();
    let (before, after) = (numbered(&first), numbered(&second));
    for (msn, name) in &after {
        assert!(
            before.get(msn).is_none_or(|known| known == name),
            "number {msn}"
        );
    }
    let mut all = before;
    all.extend(after);
    let all: Vec<_> = all.into_values().collect();
    assert_eq!(all, names("a", 0, 1007..1030));
    assert!(!second.playlists.last().unwrap().contains("DISCONTINUITY"));
}

#[test]
fn another_source_does_not_take_numbers_that_players_know() {
    let sources = [
        FakeSource::new("a"),
        FakeSource {
            phase_ms: 700,
            ..FakeSource::new("b")
        },
    ];
    let mut first = Sim::new(&sources);
    first.run(seconds(20));
    let mut second = Sim::with(
        &sources,
        first.now + seconds(1),
        first.position(),
        sim::settings(7),
    );
    // The old window is being listed again when its source dies.
    second.run(Duration::from_millis(150));
    assert!(!second.published.is_empty());
    second.sources[0].fault = Fault::Refused;
    second.run(seconds(20));
    for (msn, name) in &second.published {
        let known = first.published.get(msn);
        assert!(
            known.is_none_or(|known| known == name),
            "number {msn} was {known:?} and is {name}"
        );
    }
    assert!(second.published.values().any(|name| name.starts_with("b-")));
}

#[test]
fn after_a_long_stop_numbers_go_on_behind_a_discontinuity() {
    let sources = [FakeSource::new("a")];
    let mut first = Sim::new(&sources);
    first.run(seconds(20));
    let next = first.position()[&TrackId::main()].next_msn;
    let mut second = Sim::with(
        &sources,
        first.now + seconds(300),
        first.position(),
        sim::settings(7),
    );
    second.run(seconds(4));
    assert_eq!(second.published.first_key_value().unwrap().0, &next);
    let text = &second.playlists[0];
    assert!(text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
}

#[test]
fn an_ended_source_hands_over_and_the_last_one_ends_the_playlist() {
    let mut sim = Sim::new(&[
        FakeSource::new("a"),
        FakeSource {
            phase_ms: 300,
            ..FakeSource::new("b")
        },
    ]);
    sim.run(seconds(10));
    sim.sources[0].fault = Fault::Ended(sim.now.as_ms());
    sim.run(seconds(10));
    assert!(sim.contents().last().unwrap().starts_with("b-"));
    sim.sources[1].fault = Fault::Ended(sim.now.as_ms());
    sim.run(seconds(10));
    assert!(sim.playlists.last().unwrap().ends_with("#EXT-X-ENDLIST\n"));
    assert_eq!(sim.channel.state(), State::Ended);
}

#[test]
fn implicit_ivs_follow_the_source_and_keys_come_through_us() {
    let extra = "#EXT-X-KEY:METHOD=AES-128,URI=\"http://keys.example/k?token=secret\"\n";
    let mut source = FakeSource::new("a");
    source.extra = extra;
    let mut sim = Sim::new(&[
        source,
        FakeSource {
            name: "keys",
            ..FakeSource::new("keys")
        },
    ]);
    sim.run(seconds(4));
    let text = sim.playlists.last().unwrap();
    let iv = format!("IV=0x{:032x}", 1007);
    assert!(text.contains(&iv), "{text}");
    assert!(
        text.contains("URI=\"key-") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn a_source_whose_segments_do_not_fit_is_refused_by_name() {
    let mut long = FakeSource {
        duration_s: 6,
        ..FakeSource::new("b")
    };
    long.extra = "#EXT-X-KEY:METHOD=AES-128,URI=\"http://b.example/k\"\n";
    let mut sim = Sim::with(
        &[FakeSource::new("a"), long],
        Time::from_ms(20_000),
        HashMap::new(),
        Settings {
            target_duration_s: 2,
            ..sim::settings(7)
        },
    );
    sim.run(seconds(10));
    sim.switch(1);
    sim.run(seconds(20));
    let refusal = sim.notices.iter().find_map(|notice| match notice {
        Notice::Trouble(trouble) if trouble.code == "switch_failed" => {
            Some(trouble.detail.as_str())
        }
        _ => None,
    });
    let expected = "segment of 6 s does not fit the target duration of 2 s and cannot be cut: it is encrypted, or no transport stream";
    assert_eq!(refusal, Some(expected), "{:?}", sim.notices);
    // The one that plays never left.
    assert_eq!(sim.contents(), names("a", 0, 1007..1024));
}

#[test]
fn a_segment_that_grew_too_long_is_a_gap_and_two_are_the_end_of_their_source() {
    let mut sim = Sim::new(&[FakeSource::new("a"), FakeSource::new("b")]);
    sim.run(seconds(10));
    let source = &mut sim.sources[0];
    // From now on four seconds each, of bytes that cannot be cut.
    (source.duration_s, source.first_msn, source.began_ms) = (4, 1015, 26_000);
    source.epoch = 1;
    sim.run(seconds(24));
    let troubles = sim.troubles();
    assert!(troubles.contains(&"segment_too_long"), "{troubles:?}");
    let refusal = sim.notices.iter().find_map(|notice| match notice {
        Notice::Trouble(trouble) if trouble.code == "source_refused" => Some(trouble),
        _ => None,
    });
    let refusal = refusal.expect("the source is refused");
    let named = "segment of 4 s does not fit the target duration of 2 s and cannot be cut";
    assert!(
        refusal.source == 0 && refusal.detail.starts_with(named),
        "{refusal:?}"
    );
    let gap = "#EXT-X-GAP\n#EXTINF:2.000,";
    assert!(sim.playlists.iter().any(|text| text.contains(gap)));
    assert_eq!(sim.channel.on_air(), Some(1));
}

#[test]
fn the_target_duration_does_for_every_known_source() {
    let long = FakeSource {
        duration_s: 6,
        ..FakeSource::new("b")
    };
    let mut sim = Sim::new(&[FakeSource::new("a"), long.clone()]);
    sim.run(seconds(30));
    assert!(
        sim.playlists[0].contains("#EXT-X-TARGETDURATION:6\n"),
        "{}",
        sim.playlists[0]
    );
    assert!(sim.contents().iter().all(|name| name.starts_with("a-")));
    let asked = sim
        .requests
        .iter()
        .filter(|(at, _)| *at == Time::from_ms(20_000))
        .count();
    assert_eq!(asked, 2, "both playlists, beside each other");

    // Whoever does not answer in time is not waited for; who is on an account is not asked.
    let slow = FakeSource {
        fault: Fault::Stalled,
        ..long.clone()
    };
    let counted = FakeSource {
        account: Some("account"),
        ..long
    };
    for other in [slow, counted] {
        let mut sim = Sim::new(&[FakeSource::new("a"), other]);
        sim.run(seconds(1));
        assert!(sim.playlists[0].contains("#EXT-X-TARGETDURATION:2\n"));
    }
}

#[test]
fn where_the_old_stream_must_go_first_it_goes_while_players_can_wait_for_the_other() {
    let mut sim = Sim::new(&["a", "b"].map(|name| FakeSource {
        duration_s: 6,
        account: Some("account"),
        ..FakeSource::new(name)
    }));
    sim.run(seconds(31));
    sim.sources[0].fault = Fault::Frozen(sim.now.as_ms());
    let newest_at = Time::from_ms(20_000 + 30_090);
    assert_eq!(sim.published.len(), 8);
    sim.run(seconds(30));
    let asked = sim.hosts[1].asked[0] - newest_at;
    // Beside it, the other would have been asked after one and a half target durations.
    assert!(
        asked > seconds(6) * 3 / 2 && asked < seconds(11),
        "{asked:?}"
    );
    assert_eq!(sim.channel.on_air(), Some(1));
}

#[test]
fn only_links_that_name_a_playlist_are_asked_too_soon() {
    let links = [
        "http://a.example/live.m3u8",
        "http://b.example/live/user/pass/7",
        "http://c.example/get?output=M3U8&token=1",
        "http://d.example/live.ts",
        "http://e.example/Index.M3U8?x=1",
    ];
    let defs = links.map(|link| SourceDef {
        url: link.parse().unwrap(),
        identity: link.to_owned(),
        account: None,
    });
    let mut channel = Channel::new(sim::settings(7), defs.into(), 0, HashMap::new());
    let asked = channel.step(Time::ZERO, Event::Demand(vec![TrackId::main()]));
    let sources = asked.iter().filter_map(|effect| match effect {
        Effect::Fetch(order) => Some(order.source),
        _ => None,
    });
    assert_eq!(sources.collect::<Vec<_>>(), [0, 2, 4]);
}

#[test]
fn a_source_of_which_nothing_can_be_fetched_is_named() {
    let mut source = FakeSource::new("a");
    source.scheme = "file:///tmp/";
    let mut sim = Sim::new(&[source]);
    sim.run(seconds(5));
    assert!(
        sim.troubles().contains(&"playlist_foreign_segments"),
        "{:?}",
        sim.notices
    );
    let said = sim.notices.iter().find_map(|notice| match notice {
        Notice::Trouble(trouble) => Some(trouble.detail.as_str()),
        _ => None,
    });
    let expected = "its segments are file: URLs, and only http and https are fetched (http://a.example/live.m3u8)";
    assert_eq!(said, Some(expected));
}

#[test]
fn a_tag_that_stands_between_segments_is_never_the_headers() {
    let mut source = FakeSource::new("a");
    source.extra = "#EXT-X-OF-ALL:1\n";
    source.marked = Some(1012);
    let mut sim = Sim::new(&[source]);
    sim.run(seconds(60));
    let of_all = sim
        .playlists
        .iter()
        .all(|text| text.matches("#EXT-X-OF-ALL:1").count() == 1);
    assert!(of_all);
    // Its segment leaves the source's list long before ours, as the first of it at last.
    let marked: Vec<_> = sim
        .playlists
        .iter()
        .filter(|text| text.contains("#EXT-X-MARK"))
        .collect();
    assert!(marked.len() >= 10, "{}", marked.len());
    for text in marked {
        let number = text
            .lines()
            .skip_while(|line| !line.starts_with("#EXT-X-MARK"));
        let number = number.skip(1).find(|line| !line.starts_with('#'));
        assert_eq!(text.matches("#EXT-X-MARK").count(), 1, "{text}");
        assert_eq!(number, Some("5.ts"), "{text}");
    }
}

fn defs(sources: &[&FakeSource]) -> Event {
    Event::Sources(sources.iter().map(|source| source.def()).collect())
}

#[test]
fn the_source_on_air_stays_when_the_list_of_sources_changes() {
    let [a, b, c] = ["a", "b", "c"].map(FakeSource::new);
    let mut sim = Sim::new(&[a.clone(), b]);
    sim.run(seconds(20));
    // One more before it, and the other gone.
    sim.sources = vec![c.clone(), a.clone()];
    sim.hosts = vec![sim::Host::default(), sim::Host::default()];
    sim.step(defs(&[&c, &a]));
    assert_eq!(sim.channel.on_air(), Some(1));
    sim.run(seconds(20));
    assert_eq!(sim.contents(), names("a", 0, 1007..1029));
    assert!(!sim.playlists.last().unwrap().contains("DISCONTINUITY"));
    // A fresh token: the same source under another link.
    let token = SourceDef {
        url: "http://a.example/live.m3u8?token=2".parse().unwrap(),
        ..a.def()
    };
    sim.step(Event::Sources(vec![token, c.def()]));
    assert_eq!(sim.channel.on_air(), Some(0));
}

#[test]
fn a_source_that_is_taken_away_is_left_as_one_that_failed() {
    let [a, b] = ["a", "b"].map(FakeSource::new);
    let mut sim = Sim::new(&[a, b.clone()]);
    sim.truth = player::Truth::new(vec![seconds(0); 2]);
    sim.run(seconds(20));
    sim.sources = vec![b.clone()];
    sim.hosts = vec![sim::Host::default()];
    sim.step(defs(&[&b]));
    sim.run(seconds(20));
    assert_eq!(sim.channel.on_air(), Some(0));
    let contents = sim.contents();
    let of_b = contents
        .iter()
        .filter(|name| name.starts_with("b-"))
        .count();
    assert!(
        of_b >= 9 && contents.last().unwrap().starts_with("b-"),
        "{contents:?}"
    );
    let last = sim.playlists.last().unwrap();
    assert!(
        last.matches("#EXT-X-DISCONTINUITY\n").count() <= 1,
        "{last}"
    );
    assert_eq!(sim.stalls, []);
}

#[test]
fn sources_are_found_again_by_link_then_by_identity() {
    #[track_caller]
    fn check(
        old: &[(&str, &str, Option<&str>)],
        new: &[(&str, &str, Option<&str>)],
        places: &[Option<usize>],
    ) {
        let def = |(url, identity, account): &(&str, &str, Option<&str>)| SourceDef {
            url: format!("http://{url}").parse().unwrap(),
            identity: (*identity).to_owned(),
            account: account.map(str::to_owned),
        };
        let [old, new] = [old, new].map(|defs| defs.iter().map(def).collect::<Vec<_>>());
        assert_eq!(SourceDef::places(&old, &new), places);
    }
    let (a, b) = (("h/a?t=1", "a", None), ("h/b", "b", None));
    check(&[a, b], &[b, a], &[Some(1), Some(0)]);
    check(&[a, b], &[("h/a?t=2", "a", None)], &[Some(0)]);
    // Two links of one identity: each finds its own.
    let other = ("h/a?t=2", "a", None);
    check(&[a, other], &[other, a], &[Some(1), Some(0)]);
    check(&[a], &[other, a], &[None, Some(0)]);
    check(&[a], &[a, a], &[Some(0), None]);
    check(&[a], &[("h/a?t=1", "a", Some("account"))], &[None]);
}
