//! The gate from outside; tokens of each algorithm, made with ring.

mod jwts;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use crate::*;

const NOW: i64 = 1_800_000_000_000;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const ASSET: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef);
const SHARE: ShareId = ShareId([9; 12]);

fn key(id: KeyId) -> Key {
    Key::new(id, &[id as u8; SECRET_LENGTH])
}

fn gate() -> Gate {
    let rules = Rules {
        ttl: Duration::from_secs(600),
        idle_max: Duration::from_secs(86_400),
    };
    Gate::new(KeyRing::new(vec![key(1)]), rules)
}

fn ask(wanted: Wanted<'_>) -> Ask<'_> {
    Ask {
        wanted,
        action: Actions::PLAY,
        address: HERE,
        user_agent: "VLC",
    }
}

fn to_play(gate: &Gate, scope: Subject) -> Order {
    Order::play(gate.basis(scope, None))
}

fn play(gate: &Gate) -> String {
    gate.mint(to_play(gate, Subject::Asset(ASSET)), NOW)
        .unwrap()
        .1
}

#[track_caller]
fn check(gate: &Gate, text: &str, after_s: i64, expected: Result<(), Refused>) {
    let admitted = gate.admit(text, &ask(Wanted::Asset(ASSET)), NOW + after_s * 1000);
    assert_eq!(admitted.map(|_| ()), expected, "after {after_s} s");
}

#[test]
fn a_grant_must_be_used_in_time_and_then_lives_while_it_is_used() {
    let gate = gate();
    let (unused, used) = (play(&gate), play(&gate));
    check(&gate, &used, 600, Ok(()));
    check(&gate, &unused, 601, Err(Refused::Expired));
    // A player that was paused for most of a day plays on; days of use do not end it.
    check(&gate, &used, 80_000, Ok(()));
    check(&gate, &used, 160_000, Ok(()));
    check(&gate, &used, 160_000 + 86_400, Ok(()));
    check(
        &gate,
        &used,
        160_000 + 2 * 86_400 + 1,
        Err(Refused::Expired),
    );
    check(
        &gate,
        &used,
        160_000 + 2 * 86_400 + 2,
        Err(Refused::Expired),
    );
}

#[test]
fn a_devices_grant_lives_until_it_is_revoked_or_its_end_comes() {
    let gate = gate();
    let order = Order {
        must_start: false,
        ..to_play(&gate, Subject::Channels)
    };
    let (grant, text) = gate.mint(order.clone(), NOW).unwrap();
    let year = NOW + 365 * 86_400_000;
    gate.admit(&text, &ask(Wanted::Channel("news")), year)
        .unwrap();
    gate.admit(&text, &ask(Wanted::Channels), year).unwrap();
    assert!(gate.revoke(grant.session));
    let refused = gate.admit(&text, &ask(Wanted::Channel("news")), year);
    assert_eq!(refused.unwrap_err(), Refused::Revoked);

    let until_s = Some(NOW as u64 / 1000 + 60);
    let (_, text) = gate.mint(Order { until_s, ..order }, NOW).unwrap();
    let at = |s: i64| {
        gate.admit(&text, &ask(Wanted::Channels), NOW + s * 1000)
            .map(|_| ())
    };
    assert_eq!((at(59), at(60)), (Ok(()), Err(Refused::Expired)));
}

#[test]
fn a_grant_opens_one_thing_for_its_actions_in_its_place() {
    let gate = gate();
    let text = play(&gate);
    let refused = |text: &str, ask: Ask<'_>| gate.admit(text, &ask, NOW).unwrap_err();
    for other in [
        Wanted::Asset(Uuid::from_u128(1)),
        Wanted::Channel("news"),
        Wanted::File("a"),
        Wanted::Channels,
        Wanted::Share(SHARE),
    ] {
        assert_eq!(refused(&text, ask(other)), Refused::OtherScope);
    }
    let download = Ask {
        action: Actions::DOWNLOAD,
        ..ask(Wanted::Asset(ASSET))
    };
    assert_eq!(refused(&text, download), Refused::NotAllowed);

    let binding = Binding {
        network: Some(Binding::network_of(HERE)),
        user_agent: Some(Binding::digest("VLC")),
    };
    let order = Order {
        binding,
        ..to_play(&gate, Subject::Channel("news".into()))
    };
    let (_, bound) = gate.mint(order, NOW).unwrap();
    let news = ask(Wanted::Channel("news"));
    let neighbour = IpAddr::from([198, 51, 100, 200]);
    gate.admit(
        &bound,
        &Ask {
            address: neighbour,
            ..news
        },
        NOW,
    )
    .unwrap();
    let mapped = IpAddr::V6(Ipv4Addr::new(198, 51, 100, 9).to_ipv6_mapped());
    gate.admit(
        &bound,
        &Ask {
            address: mapped,
            ..news
        },
        NOW,
    )
    .unwrap();
    let elsewhere = IpAddr::from([203, 0, 113, 7]);
    assert_eq!(
        refused(
            &bound,
            Ask {
                address: elsewhere,
                ..news
            }
        ),
        Refused::OtherPlace
    );
    assert_eq!(
        refused(
            &bound,
            Ask {
                user_agent: "curl",
                ..news
            }
        ),
        Refused::OtherPlace
    );
}

#[test]
fn revoking_reaches_what_runs() {
    let gate = gate();
    let admit = || {
        let basis = gate.basis(Subject::Asset(ASSET), Some(SHARE));
        let (grant, text) = gate.mint(Order::play(basis), NOW).unwrap();
        let admitted = gate.admit(&text, &ask(Wanted::Asset(ASSET)), NOW).unwrap();
        (grant.session, text, admitted)
    };
    let bump = |subject: Subject| gate.set_epoch(subject.clone(), gate.epoch(&subject) + 1);

    let (session, text, mut running) = admit();
    let (_, other, mut other_running) = admit();
    gate.may_go_on(&mut running, NOW).unwrap();
    gate.revoke(session);
    assert_eq!(gate.may_go_on(&mut running, NOW), Err(Refused::Revoked));
    check(&gate, &text, 0, Err(Refused::Revoked));
    gate.may_go_on(&mut other_running, NOW).unwrap();

    bump(Subject::Share(ShareId([8; 12])));
    gate.may_go_on(&mut other_running, NOW).unwrap();
    bump(Subject::Share(SHARE));
    assert_eq!(
        gate.may_go_on(&mut other_running, NOW),
        Err(Refused::Revoked)
    );
    check(&gate, &other, 0, Err(Refused::Revoked));

    let (_, text, mut running) = admit();
    bump(Subject::Asset(ASSET));
    assert_eq!(gate.may_go_on(&mut running, NOW), Err(Refused::Revoked));
    check(&gate, &text, 0, Err(Refused::Revoked));

    let (_, text, mut running) = admit();
    gate.set_keys(KeyRing::new(vec![key(2), key(1)]));
    gate.may_go_on(&mut running, NOW).unwrap();
    gate.set_keys(KeyRing::new(vec![key(2)]));
    assert_eq!(gate.may_go_on(&mut running, NOW), Err(Refused::UnknownKey));
    check(&gate, &text, 0, Err(Refused::UnknownKey));
}

#[test]
fn what_is_revoked_while_a_grant_is_being_decided_ends_it() {
    let gate = gate();
    let asset = || Subject::Asset(ASSET);
    for revoked in [asset(), Subject::Share(SHARE)] {
        let basis = gate.basis(asset(), Some(SHARE));
        let (grant, first) = gate.mint(Order::play(basis.clone()), NOW).unwrap();
        check(&gate, &first, 0, Ok(()));
        gate.set_epoch(revoked.clone(), gate.epoch(&revoked) + 1);
        for basis in [basis, grant.basis()] {
            let (_, late) = gate.mint(Order::play(basis), NOW).unwrap();
            check(&gate, &late, 0, Err(Refused::Revoked));
        }
    }
    check(&gate, &play(&gate), 0, Ok(()));
}

#[test]
fn a_rotated_key_verifies_and_the_newest_signs() {
    let gate = gate();
    let old = play(&gate);
    gate.set_keys(KeyRing::new(vec![key(1), key(3), key(2)]));
    let (grant, new) = gate
        .mint(to_play(&gate, Subject::Asset(ASSET)), NOW)
        .unwrap();
    assert_eq!(grant.key, 3);
    check(&gate, &old, 0, Ok(()));
    check(&gate, &new, 0, Ok(()));
    gate.set_keys(KeyRing::default());
    check(&gate, &new, 0, Err(Refused::UnknownKey));
    assert!(gate.mint(to_play(&gate, Subject::Channels), NOW).is_none());
}

#[test]
fn what_is_saved_and_restored_goes_on() {
    let before = gate();
    let (idle, ended) = (play(&before), play(&before));
    check(&before, &idle, 0, Ok(()));
    check(&before, &ended, 0, Ok(()));
    let saved = before.unsaved(NOW);
    assert_eq!((saved.len(), before.unsaved(NOW).len()), (2, 0));
    // A hundredth of what it may be idle for is not worth a write.
    check(&before, &idle, 864, Ok(()));
    assert_eq!(before.unsaved(NOW + 864_000), []);
    check(&before, &idle, 865, Ok(()));
    assert_eq!(before.unsaved(NOW + 865_000).len(), 1);
    let session = open(&ended, &KeyRing::new(vec![key(1)])).unwrap().session;

    let after = gate();
    after.restore(&saved, &[session]);
    assert_eq!(after.sessions_count(), 1);
    check(&after, &idle, 5000, Ok(()));
    check(&after, &ended, 5000, Err(Refused::Revoked));
    // Only what is new is handed out.
    assert_eq!(after.unsaved(NOW + 5_000_000)[0].used_ms, NOW + 5_000_000);
    assert!(after.unsaved(NOW + 5_000_000 + 86_400_001).is_empty());
    assert_eq!(after.sessions_count(), 0);
}

#[test]
fn sessions_are_bounded_and_the_longest_idle_go_first() {
    let gate = gate();
    let mut saved: Vec<_> = (0..SESSIONS_MAX as u32)
        .map(|n| {
            let mut id = [0; 12];
            id[..4].copy_from_slice(&n.to_be_bytes());
            SavedSession {
                id: SessionId(id),
                used_ms: NOW - i64::from(n),
            }
        })
        .collect();
    gate.restore(&saved, &[]);
    let text = play(&gate);
    check(&gate, &text, 0, Ok(()));
    let kept = gate.sessions_count();
    assert!(
        (SESSIONS_MAX * 14 / 16..SESSIONS_MAX).contains(&kept),
        "{kept}"
    );
    check(&gate, &text, 700, Ok(()));
    saved.clear();
}

#[test]
fn every_changed_cut_or_added_character_is_refused() {
    let gate = gate();
    let text = play(&gate);
    const ALPHABET: &[u8] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.%";
    for at in 0..text.len() {
        for &other in ALPHABET.iter().filter(|c| **c != text.as_bytes()[at]) {
            let mut forged = text.clone().into_bytes();
            forged[at] = other;
            let forged = String::from_utf8(forged).unwrap();
            let refused = gate
                .admit(&forged, &ask(Wanted::Asset(ASSET)), NOW)
                .unwrap_err();
            assert!(refused.is_unknown_caller(), "{refused}");
        }
        assert!(
            gate.admit(&text[..at], &ask(Wanted::Asset(ASSET)), NOW)
                .is_err()
        );
        assert!(
            gate.admit(&text[at + 1..], &ask(Wanted::Asset(ASSET)), NOW)
                .is_err()
        );
    }
    for more in ["A", "AA", "AAA", "=", "==", ".", " "] {
        for longer in [format!("{text}{more}"), format!("{more}{text}")] {
            assert!(
                gate.admit(&longer, &ask(Wanted::Asset(ASSET)), NOW)
                    .is_err(),
                "{longer}"
            );
        }
    }
    check(&gate, &text, 0, Ok(()));
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let id = "[a-z0-9_-]{1,64}";
    let subject = prop_oneof![
        id.prop_map(Subject::Channel),
        Just(Subject::Channels),
        any::<u128>().prop_map(|id| Subject::Asset(Uuid::from_u128(id))),
        id.prop_map(Subject::File),
        any::<[u8; 12]>().prop_map(|id| Subject::Share(ShareId(id))),
    ];
    let network = prop_oneof![
        any::<u32>().prop_map(|v4| Binding::network_of(IpAddr::from(v4.to_be_bytes()))),
        (0x2000u16.., any::<u128>()).prop_map(|(head, v6)| Binding::network_of(IpAddr::from(
            ((u128::from(head) << 112) | (v6 >> 16)).to_be_bytes()
        ))),
    ];
    let moments = (
        proptest::option::of(1u64..),
        proptest::option::of(1u64..),
        any::<u64>(),
    );
    let binding = (
        proptest::option::of(network),
        proptest::option::of(any::<[u8; 8]>()),
    );
    (
        subject,
        proptest::option::of(any::<[u8; 12]>()),
        1u8..4,
        moments,
        any::<[u8; 12]>(),
        binding,
    )
        .prop_map(
            |(scope, share, actions, (start_by_s, until_s, epoch), session, binding)| Grant {
                key: 1,
                session: SessionId(session),
                scope,
                share: share.map(ShareId),
                actions: Actions::from_bits(actions).unwrap(),
                start_by_s,
                until_s,
                epoch,
                binding: Binding {
                    network: binding.0,
                    user_agent: binding.1,
                },
            },
        )
}

proptest! {
    #[test]
    fn a_grant_comes_back_as_it_was(grant in any_grant()) {
        let text = seal(&grant, &key(1)).unwrap();
        prop_assert!(text.len() <= TEXT_LENGTH_MAX);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(open(&text, &KeyRing::new(vec![key(1)])), Ok(grant));
        prop_assert_eq!(open(&text, &KeyRing::new(vec![Key::new(1, &[0; 32])])), Err(Refused::Forged));
    }

    #[test]
    fn a_subject_comes_back_as_it_was(grant in any_grant()) {
        prop_assert_eq!(grant.scope.to_string().parse(), Ok(grant.scope));
        prop_assert_eq!(grant.session.to_string().parse(), Ok(grant.session));
    }

    #[test]
    fn no_text_is_taken_for_a_grant(text in "\\PC{0,300}") {
        prop_assert!(open(&text, &KeyRing::new(vec![key(1)])).is_err());
    }
}

#[test]
fn ids_that_do_not_fit_are_not_sealed() {
    let gate = gate();
    for id in [String::new(), "x".repeat(65)] {
        assert!(
            gate.mint(to_play(&gate, Subject::Channel(id)), NOW)
                .is_none()
        );
    }
}

#[test]
fn nothing_shows_a_secret() {
    let key = Key::new(5, b"a secret of thirty-two bytes ...");
    let shown = format!("{key:?} {:?} {:?}", KeyRing::new(vec![key.clone()]), gate());
    assert!(
        !shown.contains("secret") && !shown.contains("[97, 32"),
        "{shown}"
    );
}
