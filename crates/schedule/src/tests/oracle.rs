//! Occurrences held against Python's `icalendar` and `dateutil`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::{Kind, read};

/// 1 January 2024 to 1 January 2029, in UTC.
const FROM_MS: i64 = 1_704_067_200_000;
const TO_MS: i64 = 1_861_920_000_000;
const DOCUMENTS: usize = 400;

fn some<T>(
    name: &'static str,
    each: impl Strategy<Value = T> + 'static,
    max: usize,
    chance: f64,
) -> BoxedStrategy<String>
where
    T: std::fmt::Debug + Clone + ToString + Ord + 'static,
{
    let list = prop::collection::btree_set(each, 1..=max);
    let text = list.prop_map(move |list| {
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        format!(";{name}={}", list.join(","))
    });
    if chance >= 1.0 {
        return text.boxed();
    }
    let maybe = prop::option::weighted(chance, text);
    maybe.prop_map(Option::unwrap_or_default).boxed()
}

fn nonzero(max: i32) -> impl Strategy<Value = i32> {
    (1..=max, any::<bool>()).prop_map(|(number, negative)| if negative { -number } else { number })
}

fn day() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"]).prop_map(str::to_owned)
}

fn ordinal_day(max: i32) -> impl Strategy<Value = String> {
    (nonzero(max), day()).prop_map(|(ordinal, day)| format!("{ordinal}{day}"))
}

/// What RFC 5545 §3.3.10 allows of each frequency. Weeks 52 and 53 from the end reach into the year before,
/// where `dateutil` does not look for them.
fn parts() -> BoxedStrategy<String> {
    let months = || some("BYMONTH", 1..=12, 3, 0.3);
    let times = || {
        let hours = some("BYHOUR", 0..=23, 2, 0.15);
        (hours, some("BYMINUTE", 0..=59, 2, 0.1)).prop_map(|(a, b)| a + &b)
    };
    let yearly = prop_oneof![
        (months(), some("BYMONTHDAY", nonzero(31), 3, 0.5)).prop_map(|(a, b)| a + &b),
        (months(), some("BYDAY", ordinal_day(4), 2, 0.7)).prop_map(|(a, b)| a + &b),
        some("BYYEARDAY", nonzero(366), 4, 1.0),
        (
            some("BYWEEKNO", nonzero(51), 3, 1.0),
            some("BYDAY", day(), 2, 0.6)
        )
            .prop_map(|(a, b)| a + &b),
    ];
    let monthly = prop_oneof![
        (months(), some("BYMONTHDAY", nonzero(31), 3, 0.6)).prop_map(|(a, b)| a + &b),
        some("BYDAY", ordinal_day(5), 3, 1.0),
        (
            some("BYDAY", day(), 5, 1.0),
            some("BYSETPOS", nonzero(3), 2, 0.7)
        )
            .prop_map(|(a, b)| a + &b),
        (
            some("BYDAY", day(), 2, 1.0),
            some("BYMONTHDAY", 1..=31, 7, 1.0)
        )
            .prop_map(|(a, b)| a + &b),
    ];
    let weekly = (
        some("BYDAY", day(), 4, 0.7),
        months(),
        prop::sample::select(vec!["", ";WKST=SU", ";WKST=WE"]),
    )
        .prop_map(|(a, b, c)| a + &b + c);
    let daily = (
        months(),
        some("BYDAY", day(), 4, 0.3),
        some("BYMONTHDAY", nonzero(31), 6, 0.3),
    )
        .prop_map(|(a, b, c)| a + &b + &c);
    prop_oneof![
        yearly.prop_map(|parts| format!("FREQ=YEARLY{parts}")),
        monthly.prop_map(|parts| format!("FREQ=MONTHLY{parts}")),
        weekly.prop_map(|parts| format!("FREQ=WEEKLY{parts}")),
        daily.prop_map(|parts| format!("FREQ=DAILY{parts}")),
    ]
    .prop_flat_map(move |parts| times().prop_map(move |times| format!("{parts}{times}")))
    .boxed()
}

#[derive(Clone, Copy, Debug)]
enum Zone {
    Utc,
    Named(&'static str),
    WholeDay,
}

/// A document of one series, with exceptions, an addition, and overrides of its own occurrences.
fn document() -> impl Strategy<Value = String> {
    let zone = prop::sample::select(vec![
        Zone::Utc,
        Zone::WholeDay,
        Zone::Named("Europe/London"),
        Zone::Named("America/New_York"),
        Zone::Named("Australia/Lord_Howe"),
        Zone::Named("Asia/Kolkata"),
    ]);
    let start = (
        2018..=2026,
        1..=12,
        1..=28,
        0..=23,
        prop::sample::select(vec![0, 15, 30]),
    );
    let end = prop_oneof![
        Just(String::new()),
        (1..60).prop_map(|count| format!(";COUNT={count}")),
        (2024..2029, 1..=12, 1..=28).prop_map(|(y, m, d)| format!(";UNTIL={y}{m:02}{d:02}")),
    ];
    let around = prop::collection::vec((2024..2028, 1..=12, 1..=28), 0..4);
    (zone, start, parts(), 1u32..4, end, around, any::<bool>()).prop_map(
        |(zone, (y, m, d, hour, minute), parts, interval, end, around, cancelled)| {
            let at = |y: i32, m: i32, d: i32| match zone {
                Zone::Utc => format!(":{y}{m:02}{d:02}T{hour:02}{minute:02}00Z"),
                Zone::WholeDay => format!(";VALUE=DATE:{y}{m:02}{d:02}"),
                Zone::Named(name) => format!(";TZID={name}:{y}{m:02}{d:02}T{hour:02}{minute:02}00"),
            };
            // A day has no hours, and UNTIL of a time is a time.
            let end = match (zone, end.starts_with(";UNTIL")) {
                (Zone::WholeDay, _) | (_, false) => end,
                (_, true) => format!("{end}T120000Z"),
            };
            let parts = match zone {
                Zone::WholeDay => parts.split(";BYHOUR").next().and_then(|p| p.split(";BYMINUTE").next()).unwrap_or("").to_owned(),
                _ => parts,
            };
            let mut text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20240101T000000Z\r\nDTSTART{}\r\n\
                 RRULE:{parts};INTERVAL={interval}{end}\r\n",
                at(y, m, d)
            );
            let mut overrides = String::new();
            for (index, (y, m, d)) in around.into_iter().enumerate() {
                match index {
                    0 => text.push_str(&format!("RDATE{}\r\n", at(y, m, d))),
                    1 => text.push_str(&format!("EXDATE{}\r\n", at(y, m, d))),
                    _ => overrides.push_str(&format!(
                        "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20240101T000000Z\r\nRECURRENCE-ID{}\r\nDTSTART{}\r\n{}END:VEVENT\r\n",
                        at(y, m, d),
                        at(y, m, d.min(27) + 1),
                        if cancelled { "STATUS:CANCELLED\r\n" } else { "" }
                    )),
                }
            }
            text + "END:VEVENT\r\n" + &overrides + "END:VCALENDAR\r\n"
        },
    )
}

fn ours(text: &str) -> Vec<i64> {
    let (calendar, troubles) = read(Kind::Ical, text.as_bytes(), FROM_MS..TO_MS, None).unwrap();
    assert!(troubles.is_empty(), "{troubles:?}\n{text}");
    let sessions = calendar.races.iter().flat_map(|race| &race.sessions);
    let starts = sessions.map(|session| session.start_ms);
    // An occurrence that began before and still lasts is not what the oracle is asked for.
    starts
        .filter(|start| (FROM_MS..TO_MS).contains(start))
        .collect()
}

fn oracle(documents: &[String]) -> Vec<Vec<i64>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let mut python = Command::new(target.join("tools/python/bin/python"))
        .arg(root.join("crates/schedule/tests/oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python with icalendar and dateutil: scripts/install.sh test");
    let mut stdin = python.stdin.take().unwrap();
    let lines: String = documents
        .iter()
        .map(|ics| {
            serde_json::json!({"ics": ics, "from_ms": FROM_MS, "to_ms": TO_MS}).to_string() + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn occurrences_are_those_that_two_other_libraries_find() {
    let mut runner = TestRunner::deterministic();
    let documents: Vec<String> = (0..DOCUMENTS)
        .map(|_| document().new_tree(&mut runner).unwrap().current())
        .collect();
    let expected = oracle(&documents);
    assert_eq!(expected.len(), documents.len());
    let (mut different, mut occurrences) = (Vec::new(), 0);
    for (text, expected) in documents.iter().zip(&expected) {
        let ours = ours(text);
        occurrences += ours.len();
        if ours != *expected {
            let shown = |starts: &[i64]| {
                starts
                    .iter()
                    .take(4)
                    .map(|ms| crate::rfc3339(*ms))
                    .collect::<Vec<_>>()
            };
            different.push(format!(
                "{text}ours {} {:?}\nexpected {} {:?}",
                ours.len(),
                shown(&ours),
                expected.len(),
                shown(expected)
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {DOCUMENTS} differ:\n{}",
        different.len(),
        different[..different.len().min(4)].join("\n")
    );
    assert!(occurrences > 20_000, "{occurrences}");
}
