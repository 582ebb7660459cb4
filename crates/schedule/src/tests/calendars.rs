use proptest::prelude::*;

use crate::*;

/// 2026, in UTC.
const WINDOW: std::ops::Range<i64> = 1_767_225_600_000..1_798_761_600_000;

fn events(lines: &str) -> Vec<(String, String, u32)> {
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n",
        lines.replace('\n', "\r\n")
    );
    let (calendar, _) = read(Kind::Ical, text.as_bytes(), WINDOW, None).unwrap();
    let each = calendar.races.into_iter().map(|race| {
        let session = &race.sessions[0];
        (
            race.race_name.clone(),
            rfc3339(session.start_ms).replace(":00+00:00", ""),
            session.duration_minutes,
        )
    });
    each.collect()
}

#[track_caller]
fn check(lines: &str, expected: &[(&str, &str, u32)]) {
    let found = events(lines);
    let found: Vec<_> = found
        .iter()
        .map(|(name, at, minutes)| (name.as_str(), at.as_str(), *minutes))
        .collect();
    assert_eq!(found, expected, "{lines}");
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:1\nSUMMARY:Cup\n{lines}\nEND:VEVENT\n")
}

#[test]
fn a_time_is_of_its_zone() {
    check(
        &event("DTSTART:20260720T150000Z\nDTEND:20260720T164500Z"),
        &[("Cup", "2026-07-20T15:00", 105)],
    );
    check(
        &event("DTSTART;TZID=Europe/London:20260720T150000\nDURATION:PT1H30M"),
        &[("Cup", "2026-07-20T14:00", 90)],
    );
    check(
        &event("DTSTART;TZID=/example.org/20240101/Europe/London:20260720T150000"),
        &[("Cup", "2026-07-20T14:00", 0)],
    );
    check(
        &event("DTSTART;VALUE=DATE:20260720"),
        &[("Cup", "2026-07-20T00:00", 1440)],
    );
    let floating = event("DTSTART:20260720T150000");
    check(
        &format!("X-WR-TIMEZONE:America/New_York\n{floating}"),
        &[("Cup", "2026-07-20T19:00", 0)],
    );
    // The clocks go forward at one: half past one is half past two by the new time (§3.3.5).
    check(
        &event("DTSTART;TZID=Europe/London:20260329T013000"),
        &[("Cup", "2026-03-29T01:30", 0)],
    );
}

const OWN_ZONE: &str = "BEGIN:VTIMEZONE\nTZID:W. Europe Standard Time\n\
    BEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\n\
    BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

#[test]
fn a_zone_that_nobody_knows_is_what_the_document_says() {
    let at = |date: &str| {
        event(&format!(
            "DTSTART;TZID=W. Europe Standard Time:2026{date}T150000"
        ))
    };
    check(
        &(OWN_ZONE.to_owned() + &at("0720")),
        &[("Cup", "2026-07-20T13:00", 0)],
    );
    check(
        &(OWN_ZONE.to_owned() + &at("1220")),
        &[("Cup", "2026-12-20T14:00", 0)],
    );
    let weekly =
        event("DTSTART;TZID=W. Europe Standard Time:20261018T150000\nRRULE:FREQ=WEEKLY;COUNT=3");
    let expected = [
        ("Cup", "2026-10-18T13:00", 0),
        ("Cup", "2026-10-25T14:00", 0),
        ("Cup", "2026-11-01T14:00", 0),
    ];
    check(&(OWN_ZONE.to_owned() + &weekly), &expected);
}

#[test]
fn exceptions_overrides_and_cancellations_are_heeded() {
    let series = event(
        "DTSTART;TZID=Europe/London:20260701T200000\nRRULE:FREQ=DAILY;COUNT=5\n\
         EXDATE;TZID=Europe/London:20260702T200000",
    );
    let moved = "BEGIN:VEVENT\nUID:1\nSUMMARY:Moved\nRECURRENCE-ID;TZID=Europe/London:20260703T200000\n\
                 DTSTART;TZID=Europe/London:20260703T213000\nEND:VEVENT\n";
    let off = "BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:20260704T190000Z\nDTSTART:20260704T190000Z\nSTATUS:CANCELLED\nEND:VEVENT\n";
    let expected = [
        ("Cup", "2026-07-01T19:00", 0),
        ("Moved", "2026-07-03T20:30", 0),
        ("Cup", "2026-07-05T19:00", 0),
    ];
    check(&format!("{series}{moved}{off}"), &expected);
    check(&event("DTSTART:20260720T150000Z\nSTATUS:CANCELLED"), &[]);
}

#[test]
fn text_is_unfolded_and_unescaped() {
    let lines = "BEGIN:VEVENT\nUID:1\nSUMMARY:Semi\n final\\, one\\; two\nLOCATION:Silverstone\nDTSTART:20260720T150000Z\nEND:VEVENT\n";
    check(lines, &[("Semifinal, one; two", "2026-07-20T15:00", 0)]);
}

fn read_in(zone: &str, lines: &str) -> Calendar {
    let text = format!(
        "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n",
        lines.replace('\n', "\r\n")
    );
    let zone = TimeZone::get(zone).unwrap();
    let (calendar, troubles) = read(Kind::Ical, text.as_bytes(), WINDOW, Some(&zone)).unwrap();
    assert_eq!(troubles, [""; 0]);
    calendar
}

#[test]
fn a_whole_day_is_one_where_its_people_are() {
    // On the days of March and October on which the clocks change: 23 and 25 hours.
    let calendar = read_in(
        "Europe/London",
        &(event("DTSTART;VALUE=DATE:20260329\nDTEND;VALUE=DATE:20260330")
            + &event("DTSTART;VALUE=DATE:20261025\nRRULE:FREQ=DAILY;COUNT=2")
            + &event("DTSTART:20260720T150000")),
    );
    let found = calendar.races.iter().map(|race| {
        let session = &race.sessions[0];
        (
            race.date.as_str(),
            rfc3339(session.start_ms),
            session.duration_minutes,
            session.all_day,
        )
    });
    let found: Vec<_> = found.collect();
    let expected = [
        ("2026-03-29", "2026-03-29T00:00:00+00:00", 23 * 60, true),
        ("2026-07-20", "2026-07-20T14:00:00+00:00", 0, false),
        ("2026-10-25", "2026-10-24T23:00:00+00:00", 25 * 60, true),
        ("2026-10-26", "2026-10-26T00:00:00+00:00", 24 * 60, true),
    ];
    let expected = expected.map(|(date, at, minutes, day)| (date, at.to_owned(), minutes, day));
    assert_eq!(found, expected);
    // The operator's word goes before the calendar's.
    let lines = format!(
        "X-WR-TIMEZONE:America/New_York\n{}",
        event("DTSTART;VALUE=DATE:20260720")
    );
    let calendar = read_in("Asia/Tokyo", &lines);
    assert_eq!(
        rfc3339(calendar.races[0].sessions[0].start_ms),
        "2026-07-19T15:00:00+00:00"
    );
    assert_eq!(calendar.races[0].date, "2026-07-20");
}

#[test]
fn whole_days_are_days_in_the_export() {
    let lines = event("DTSTART;VALUE=DATE:20261024\nDTEND;VALUE=DATE:20261027");
    let calendar = read_in("Asia/Tokyo", &lines);
    let text = ics([("cup", &calendar)], 0);
    assert!(
        text.contains("DTSTART;VALUE=DATE:20261024\r\nDTEND;VALUE=DATE:20261027\r\n"),
        "{text}"
    );
    // Whoever reads that elsewhere has the same days.
    let lines = text
        .split_once("BEGIN:VEVENT")
        .unwrap()
        .1
        .replace("\r\n", "\n");
    let lines = lines.replace("END:VCALENDAR\n", "");
    let again = read_in("America/New_York", &format!("BEGIN:VEVENT{lines}"));
    assert_eq!(again.races[0].date, "2026-10-24");
    assert_eq!(again.races[0].sessions[0].duration_minutes, 3 * 1440);
    // And what we say as JSON we read.
    let json = serde_json::to_vec(&again).unwrap();
    assert_eq!(read(Kind::Json, &json, WINDOW, None).unwrap().0, again);
}

/// As desktop programs write them: a zone of the document's own that begins in 1601.
#[test]
fn a_zone_of_its_own_is_followed_once_and_not_for_each_event() {
    let mut lines = OWN_ZONE.to_owned();
    for number in 0..2000 {
        let day = 1 + number % 28;
        lines += &event(&format!(
            "DTSTART;TZID=W. Europe Standard Time:202607{day:02}T150000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=2"
        ));
    }
    // A matter of milliseconds, where a walk from 1601 for each moment took a quarter of an hour.
    assert_eq!(events(&lines).len(), 4000);
}

#[test]
fn rules_that_lead_nowhere_are_not_followed_for_ever() {
    let mut lines = String::new();
    for _ in 0..4000 {
        lines +=
            &event("DTSTART:19200101T080000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=9");
    }
    let text = format!(
        "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n",
        lines.replace('\n', "\r\n")
    );
    let (_, troubles) = read(Kind::Ical, text.as_bytes(), WINDOW, None).unwrap();
    assert!(troubles[0].contains("rules so far"), "{troubles:?}");
    // One that does not count begins near the window, however long ago it began.
    let lines = event("DTSTART:19200101T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY").repeat(20);
    assert_eq!(events(&lines).len(), 20 * 365);
}

#[test]
fn more_events_than_are_read_are_named() {
    let lines = event("DTSTART:20260720T150000Z").repeat(5001);
    let text = format!(
        "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n",
        lines.replace('\n', "\r\n")
    );
    let (calendar, troubles) = read(Kind::Ical, text.as_bytes(), WINDOW, None).unwrap();
    assert_eq!(calendar.races.len(), 5000);
    assert!(
        troubles[0].starts_with("more than 5000 events"),
        "{troubles:?}"
    );
}

#[test]
fn what_is_not_understood_is_named_and_the_rest_is_read() {
    let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Hourly\r\nDTSTART:20260720T150000Z\r\nRRULE:FREQ=HOURLY\r\n\
        END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Nowhere\r\nDTSTART;TZID=Mars/Olympus:20260720T150000\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:3\r\nSUMMARY:Fine\r\nDTSTART:20260720T150000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let (calendar, troubles) = read(Kind::Ical, text.as_bytes(), WINDOW, None).unwrap();
    assert_eq!(calendar.races.len(), 1);
    assert_eq!(
        troubles,
        [
            "event \"Hourly\": RRULE \"FREQ=HOURLY\" is not understood",
            "event \"Nowhere\": there is no time zone \"Mars/Olympus\"",
        ]
    );
    assert!(read(Kind::Ical, b"<html>", WINDOW, None).is_err());
}

const ERGAST: &str = r#"{"MRData":{"series":"f1","RaceTable":{"season":"2026","Races":[{"season":"2026","round":"2",
    "url":"https://w.example/2026","raceName":"Chinese Grand Prix","Circuit":{"circuitId":"shanghai","circuitName":"Shanghai",
    "Location":{"lat":"31","locality":"Shanghai","country":"China"}},"date":"2026-03-15","time":"07:00:00Z",
    "FirstPractice":{"date":"2026-03-13","time":"03:30:00Z"},"SprintQualifying":{"date":"2026-03-13","time":"07:30:00Z"},
    "Sprint":{"date":"2026-03-14","time":"03:00:00Z"},"Qualifying":{"date":"2026-03-14","time":"07:00:00Z"},
    "SecondPractice":{"date":"2026-03-13"}}]}}}"#;

#[test]
fn a_season_of_ergast_is_read() {
    let (calendar, _) = read(Kind::Ergast, ERGAST.as_bytes(), WINDOW, None).unwrap();
    assert_eq!(calendar.season, "2026");
    let [race] = &calendar.races[..] else {
        panic!()
    };
    assert_eq!(
        (race.round, race.circuit_id.as_str(), race.country.as_str()),
        (2, "shanghai", "China")
    );
    let sessions: Vec<_> = race
        .sessions
        .iter()
        .map(|s| (s.kind.as_str(), s.name.as_str(), s.duration_minutes))
        .collect();
    assert_eq!(
        sessions,
        [
            ("fp1", "FP1", 60),
            ("sprint_qualifying", "Sprint Qualifying", 30),
            ("sprint", "Sprint", 30),
            ("qualifying", "Qualifying", 60),
            ("race", "Race", 120),
        ]
    );
    let start = &race.sessions[0];
    let json = serde_json::to_value(start).unwrap();
    assert_eq!(json["start_utc"], "2026-03-13T03:30:00+00:00");
    for (now_ms, status) in [
        (start.start_ms - 1, Status::Upcoming),
        (start.start_ms, Status::Live),
        (start.end_ms() - 1, Status::Live),
        (start.end_ms(), Status::Past),
    ] {
        assert_eq!(start.status(now_ms), status);
    }
    // What we say, we read.
    let (again, _) = read(
        Kind::Json,
        &serde_json::to_vec(&calendar).unwrap(),
        WINDOW,
        None,
    )
    .unwrap();
    assert_eq!(again, calendar);
    assert!(
        read(Kind::Ergast, b"{}", WINDOW, None).is_err()
            && read(Kind::Json, b"[]", WINDOW, None).is_err()
    );
}

#[test]
fn the_export_is_read_back() {
    let (calendar, _) = read(Kind::Ergast, ERGAST.as_bytes(), WINDOW, None).unwrap();
    let text = ics([("f1", &calendar)], WINDOW.start);
    assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
    let (again, troubles) = read(Kind::Ical, text.as_bytes(), WINDOW, None).unwrap();
    assert!(troubles.is_empty());
    let starts = |calendar: &Calendar| -> Vec<i64> {
        calendar
            .races
            .iter()
            .flat_map(|race| race.sessions.iter().map(|s| s.start_ms))
            .collect()
    };
    assert_eq!(starts(&again), starts(&calendar));
    assert_eq!(
        again.races[1].race_name,
        "Chinese Grand Prix: Sprint Qualifying"
    );
    assert_eq!(again.races[1].locality, "Shanghai, Shanghai, China");
}

#[test]
fn two_that_begin_at_once_are_two_in_the_export() {
    let event = |name: &str| Race {
        race_name: name.into(),
        sessions: vec![Session {
            kind: "event".into(),
            name: name.into(),
            start_ms: WINDOW.start,
            duration_minutes: 5,
            all_day: false,
        }],
        ..Race::default()
    };
    let calendar = Calendar {
        season: String::new(),
        races: vec![event("Court 1"), event("Court 2")],
    };
    let text = ics([("cup", &calendar)], 0);
    let uids: std::collections::BTreeSet<_> = text
        .lines()
        .filter(|line| line.starts_with("UID:"))
        .collect();
    assert_eq!(uids.len(), 2, "{text}");
    assert_eq!(ics([("cup", &calendar)], 0), text);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,200}", rule in "[A-Z0-9;=,+-]{0,60}", at in "[0-9TZ]{0,16}") {
        for body in [
            text.clone(),
            format!("BEGIN:VCALENDAR\r\n{text}\r\nEND:VCALENDAR\r\n"),
            format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:{at}\r\nRRULE:FREQ=YEARLY;{rule}\r\nEXDATE:{at}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"),
        ] {
            for kind in [Kind::Ical, Kind::Ergast, Kind::Json] {
                drop(read(kind, body.as_bytes(), WINDOW, None));
            }
        }
    }

    #[test]
    fn names_survive_the_export(name in "[^\\p{Cc}]{1,120}") {
        let session = Session { kind: "event".into(), name: name.clone(), start_ms: WINDOW.start, duration_minutes: 5, all_day: false };
        let race = Race { race_name: name.clone(), sessions: vec![session], ..Race::default() };
        let calendar = Calendar { season: String::new(), races: vec![race] };
        let (again, _) = read(Kind::Ical, ics([("a", &calendar)], 0).as_bytes(), WINDOW, None).unwrap();
        prop_assert_eq!(&again.races[0].race_name, &name);
    }
}
