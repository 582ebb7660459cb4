//! The Ergast API (and jolpica, which carries it on): the races of a season with the sessions of each
//! weekend.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Calendar, Race, Session, Unreadable};

/// The API's member, our word, a name for people, minutes.
const SESSIONS: [(&str, &str, &str, u32); 7] = [
    ("FirstPractice", "fp1", "FP1", 60),
    ("SecondPractice", "fp2", "FP2", 60),
    ("ThirdPractice", "fp3", "FP3", 60),
    (
        "SprintQualifying",
        "sprint_qualifying",
        "Sprint Qualifying",
        30,
    ),
    // What it was called in 2023.
    (
        "SprintShootout",
        "sprint_qualifying",
        "Sprint Qualifying",
        30,
    ),
    ("Sprint", "sprint", "Sprint", 30),
    ("Qualifying", "qualifying", "Qualifying", 60),
];
const RACE_MINUTES: u32 = 120;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(rename = "MRData")]
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "RaceTable")]
    table: Table,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    season: String,
    #[serde(rename = "Races")]
    races: Vec<Map<String, Value>>,
}

pub(crate) fn read(body: &[u8]) -> Result<Calendar, Unreadable> {
    let document: Document =
        serde_json::from_slice(body).map_err(|error| Unreadable::Json(error.to_string()))?;
    let Table { season, races } = document.data.table;
    let races = races
        .into_iter()
        .map(|race| self::race(&Value::Object(race)));
    let calendar = Calendar {
        season,
        races: races.collect(),
    };
    Ok(calendar.sorted())
}

fn race(value: &Value) -> Race {
    let text = |path: &str| {
        let found = value.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let mut sessions: Vec<Session> = Vec::new();
    for (member, kind, name, minutes) in SESSIONS {
        let found = value.get(member).and_then(start_ms);
        if sessions.iter().all(|known| known.kind != kind) {
            sessions.extend(found.map(|start_ms| session(kind, name, start_ms, minutes)));
        }
    }
    sessions
        .extend(start_ms(value).map(|start_ms| session("race", "Race", start_ms, RACE_MINUTES)));
    Race {
        round: text("/round").parse().unwrap_or(0),
        race_name: text("/raceName"),
        circuit: text("/Circuit/circuitName"),
        circuit_id: text("/Circuit/circuitId"),
        country: text("/Circuit/Location/country"),
        locality: text("/Circuit/Location/locality"),
        date: text("/date"),
        url: text("/url"),
        sessions,
    }
}

fn session(kind: &str, name: &str, start_ms: i64, duration_minutes: u32) -> Session {
    Session {
        kind: kind.to_owned(),
        name: name.to_owned(),
        start_ms,
        duration_minutes,
        all_day: false,
    }
}

/// `{"date":"2026-03-08","time":"04:00:00Z"}`; a session whose time is not yet fixed has none.
fn start_ms(value: &Value) -> Option<i64> {
    let (date, time) = (value.get("date")?.as_str()?, value.get("time")?.as_str()?);
    let time = time.trim_end_matches('Z');
    let at: Timestamp = format!("{date}T{time}Z").parse().ok()?;
    Some(at.as_millisecond())
}
