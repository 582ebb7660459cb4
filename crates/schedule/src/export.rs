//! `GET /schedule.ics`: what we know as iCalendar (RFC 5545).

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::{Calendar, Race, Session};

/// Octets of a line before it is folded (§3.1).
const LINE_OCTETS: usize = 75;
/// Nearly: one on which the clocks change has an hour more or less.
const MINUTES_OF_DAY: i64 = 24 * 60;

/// The sessions of all calendars, each with the id of its schedule, as a document made at `now_ms`.
pub fn ics<'a>(
    calendars: impl IntoIterator<Item = (&'a str, &'a Calendar)>,
    now_ms: i64,
) -> String {
    let mut text = String::new();
    for line in [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Perennial//schedule//EN",
    ] {
        push(&mut text, line);
    }
    for (id, calendar) in calendars {
        for race in &calendar.races {
            for session in &race.sessions {
                let summary = match session.name.is_empty() || session.name == race.race_name {
                    true => race.race_name.clone(),
                    false => format!("{}: {}", race.race_name, session.name),
                };
                let place = [race.circuit.as_str(), &race.locality, &race.country];
                let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
                push(&mut text, "BEGIN:VEVENT");
                push(&mut text, &format!("UID:{}", uid(id, &summary, session)));
                push(&mut text, &format!("DTSTAMP:{}", stamp(now_ms)));
                for line in times(race, session) {
                    push(&mut text, &line);
                }
                push(&mut text, &format!("SUMMARY:{}", escaped(&summary)));
                if !place.is_empty() {
                    push(
                        &mut text,
                        &format!("LOCATION:{}", escaped(&place.join(", "))),
                    );
                }
                if !race.url.is_empty() {
                    push(
                        &mut text,
                        &format!("URL:{}", race.url.replace(['\r', '\n'], "")),
                    );
                }
                push(&mut text, "END:VEVENT");
            }
        }
    }
    push(&mut text, "END:VCALENDAR");
    text
}

/// Of two that begin at once, each has its own, or calendars would show one of them only.
fn uid(id: &str, summary: &str, session: &Session) -> String {
    let name: String = summary.chars().filter(|c| c.is_alphanumeric()).collect();
    let start_s = session.start_ms / 1000;
    format!("{id}-{}-{start_s}-{name}@perennial", session.kind)
}

/// From when to when: moments, or days.
fn times(race: &Race, session: &Session) -> [String; 2] {
    let first = race.date.parse::<Date>().ok().filter(|_| session.all_day);
    let count = (i64::from(session.duration_minutes) + MINUTES_OF_DAY / 2) / MINUTES_OF_DAY;
    let end = first.and_then(|first| first.checked_add(count.max(1).days()).ok());
    match first.zip(end) {
        Some((first, end)) => [("START", first), ("END", end)]
            .map(|(what, day)| format!("DT{what};VALUE=DATE:{}", day.strftime("%Y%m%d"))),
        None => [("START", session.start_ms), ("END", session.end_ms())]
            .map(|(what, at_ms)| format!("DT{what}:{}", stamp(at_ms))),
    }
}

fn stamp(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,");
    text.replace("\r\n", "\\n").replace(['\r', '\n'], "\\n")
}

/// Adds a line, folded so that no character is cut.
fn push(text: &mut String, line: &str) {
    let mut octets = 0;
    for c in line.chars() {
        if octets + c.len_utf8() > LINE_OCTETS {
            text.push_str("\r\n ");
            octets = 1;
        }
        octets += c.len_utf8();
        let _ = text.write_char(c);
    }
    text.push_str("\r\n");
}
