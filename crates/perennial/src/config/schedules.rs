//! `[[schedule]]`.

use std::collections::HashMap;

use schedule::{Kind, Place, ScheduleSpec};

use super::kind;
use super::node::Item;
use super::schema::{Table, first_of_its_name, without_secrets};
use super::section::reload;

const SCHEDULES_MAX: usize = 64;
const KINDS: &[(&str, Kind)] = &[
    ("ergast", Kind::Ergast),
    ("ical", Kind::Ical),
    ("json", Kind::Json),
];

/// All `[[schedule]]` tables.
pub(super) fn schedules(s: &mut Table<'_, '_>) -> Vec<ScheduleSpec> {
    let mut lines = HashMap::new();
    s.tables("schedule", SCHEDULES_MAX, |s| {
        let id = s.need(reload("id"), "it names the schedule", kind::name);
        if let Some(id) = &id {
            first_of_its_name(s, "id", id, &mut lines);
        }
        let hint = "\"ergast\", \"ical\" or \"json\"";
        let form = s.need(reload("kind"), hint, kind::word(KINDS));
        let url = reload("url").shown_as(without_secrets);
        let url = s.get(url, "", kind::optional(kind::http_url));
        let path = s.file(reload("path"));
        let channels = s.get(reload("channels"), Item::List(Vec::new()), kind::lines);
        let time_zone = s.get(reload("time_zone"), "", kind::optional(kind::time_zone));
        let place = match (url, path) {
            (Some(url), None) => Some(Place::Url(url)),
            (None, Some(path)) => Some(Place::File(path)),
            (Some(_), Some(_)) => {
                let message = "url and path in [[schedule]] exclude each other".to_owned();
                s.report("path", message, "give one of them");
                None
            }
            (None, None) => {
                let message = "[[schedule]] needs url or path".to_owned();
                s.report("url", message, "where its calendar is");
                None
            }
        };
        Some(ScheduleSpec {
            id: id?,
            kind: form?,
            place: place?,
            channels,
            time_zone,
        })
    })
}
