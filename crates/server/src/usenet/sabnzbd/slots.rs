//! The queue and the history: every mount is in one of them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use usenet::{Mount, State, Status};

use super::super::form::Form;
use super::{NZO, Refused, VERSION, done, find, nzo_id};
use crate::Announce;
use crate::state::App;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Queue,
    History,
}

const LIMIT: usize = 1000;
const MIB: f64 = 1_048_576.0;

/// `mode=queue`.
pub(super) async fn queue(app: &App, form: &Form) -> Result<Value, Refused> {
    let all = chosen(app, form, Which::Queue).await;
    let (start, shown) = page(&all, form)?;
    let slots: Vec<_> = (start..)
        .zip(shown)
        .map(|(index, mount)| queued(index, mount))
        .collect();
    let mb: f64 = all.iter().map(|mount| mib(&mount.status())).sum();
    let status = if all.is_empty() {
        "Idle"
    } else {
        "Downloading"
    };
    Ok(json!({ "queue": {
        "version": VERSION,
        "status": status,
        "paused": false,
        "paused_all": false,
        "pause_int": "0",
        "speedlimit": "100",
        "speedlimit_abs": "0",
        "kbpersec": "0.00",
        "speed": "0",
        "mb": format!("{mb:.2}"),
        "mbleft": format!("{mb:.2}"),
        "size": format!("{mb:.1} MB"),
        "sizeleft": format!("{mb:.1} MB"),
        "timeleft": "0:00:00",
        "noofslots": all.len(),
        "noofslots_total": all.len(),
        "start": start,
        "limit": slots.len(),
        "finish": start + slots.len(),
        "have_warnings": "0",
        "diskspace1": "0.00",
        "diskspace2": "0.00",
        "my_home": "",
        "slots": slots,
    }}))
}

/// `mode=history`.
pub(super) async fn history(app: &App, form: &Form) -> Result<Value, Refused> {
    let mut all = chosen(app, form, Which::History).await;
    // The newest first.
    all.reverse();
    let (_, shown) = page(&all, form)?;
    let slots: Vec<_> = shown.iter().map(|mount| past(app, mount)).collect();
    let bytes: u64 = all.iter().map(|mount| mount.status().bytes).sum();
    let total = format!("{:.1} M", bytes as f64 / MIB);
    Ok(json!({ "history": {
        "version": VERSION,
        "noofslots": all.len(),
        "ppslots": 0,
        "total_size": total,
        "month_size": total,
        "week_size": total,
        "day_size": total,
        "last_history_update": all.iter().map(|mount| mount.status().updated_ms).max().unwrap_or(0) / 1000,
        "slots": slots,
    }}))
}

/// What becomes of a post that is taken out of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Forgotten,
    /// Its files are taken away and it is not shown; whoever has links to it keeps them.
    Withdrawn,
    Hidden,
}

/// `name=delete&value=…`: of what the list holds, nothing else.
pub(super) async fn remove(app: &App, form: &Form, which: Which) -> Result<Value, Refused> {
    let value = form.get("value").unwrap_or_default();
    let ids: Vec<_> = value.split(',').map(str::trim).collect();
    let mut mounts = chosen(app, form, which).await;
    mounts.retain(|mount| match value {
        "all" => true,
        "failed" => mount.status().state == State::Failed,
        _ => ids.iter().any(|id| is_named(mount, id)),
    });
    let with_files = matches!(form.get("del_files"), Some("1" | "true"));
    for mount in &mounts {
        match fate(&mount.status(), which, with_files) {
            Fate::Forgotten => app.forget(mount).await?,
            Fate::Withdrawn => {
                app.unannounce(mount).await;
                app.usenet.set_hidden_from_history(mount.id(), true).await;
            }
            Fate::Hidden => app.usenet.set_hidden_from_history(mount.id(), true).await,
        }
    }
    let ids: Vec<_> = mounts.iter().map(|mount| nzo_id(mount.id())).collect();
    Ok(json!({ "status": true, "nzo_ids": ids }))
}

/// What failed goes, whatever stood for it. A mount that is announced stays, since whoever announced it has
/// links to it by now.
fn fate(status: &Status, which: Which, with_files: bool) -> Fate {
    if status.state == State::Failed {
        return Fate::Forgotten;
    }
    match which {
        _ if status.is_kept => Fate::Withdrawn,
        Which::History if !with_files => Fate::Hidden,
        Which::Queue | Which::History => Fate::Forgotten,
    }
}

/// `mode=retry&value=…`.
pub(super) async fn retry(app: &App, form: &Form) -> Result<Value, Refused> {
    let id = form.get("value").unwrap_or_default();
    let mount = find(app, id).ok_or_else(|| "there is no such job".to_owned())?;
    app.usenet.engine.retry(mount.id()).await?;
    app.usenet.set_hidden_from_history(mount.id(), false).await;
    Ok(done())
}

/// The mounts of a list that a request asks for: by id, category and text.
async fn chosen(app: &App, form: &Form, which: Which) -> Vec<Arc<Mount>> {
    let ids = form
        .get("nzo_ids")
        .map(|ids| ids.split(',').map(str::trim).collect::<Vec<_>>());
    let category = form
        .get("category")
        .or_else(|| form.get("cat"))
        .filter(|category| *category != "*");
    let search = form.get("search").map(str::to_lowercase);
    let is_asked = |mount: &Arc<Mount>| {
        let status = mount.status();
        ids.as_ref()
            .is_none_or(|ids| ids.iter().any(|id| is_named(mount, id)))
            && category.is_none_or(|asked| asked.eq_ignore_ascii_case(&status.category))
            && search
                .as_ref()
                .is_none_or(|text| status.name.to_lowercase().contains(text))
            && !app.usenet.is_hidden_from_history(mount.id())
    };
    let mounts = app.usenet.engine.mounts().into_iter().filter(is_asked);
    let mounts: Vec<_> = mounts.map(|mount| (place(app, &mount), mount)).collect();
    let path = |(place, _): &(Place, _)| match place {
        Place::In(_) => None,
        Place::Where(path) => Some(path.clone()),
    };
    // The newest first: those are waited for.
    let paths = mounts.iter().rev().filter_map(path).collect();
    let seen = app.usenet.looks.look(paths).await;
    let is_announced = app.usenet.settings.library.mode != Announce::None;
    let is_here = |place: &Place| match place {
        Place::In(list) => *list == which,
        Place::Where(path) if seen.get(path) == Some(&true) => which == Which::History,
        // What was taken away is over; what a mount does not show yet is still to come.
        Place::Where(_) => which == Which::Queue && !is_announced,
    };
    let here = mounts.into_iter().filter(|(place, _)| is_here(place));
    here.map(|(_, mount)| mount).collect()
}

/// Which list a mount is in.
enum Place {
    In(Which),
    /// The history, if its files are there for whoever asks.
    Where(PathBuf),
}

fn place(app: &App, mount: &Arc<Mount>) -> Place {
    let status = mount.status();
    match status.state {
        State::Accepted | State::Probing => return Place::In(Which::Queue),
        State::Failed => return Place::In(Which::History),
        State::Streamable | State::Verified | State::Completed => {}
    }
    let library = &app.usenet.settings.library;
    if library.mode != Announce::None && app.is_unannounced(mount) {
        return Place::In(Which::Queue);
    }
    let path = library.place(&status);
    path.map_or(Place::In(Which::History), Place::Where)
}

/// By an id of ours, or by the number that other answers give.
fn is_named(mount: &Mount, id: &str) -> bool {
    id.strip_prefix(NZO).unwrap_or(id) == mount.id().to_string()
}

fn page<'a>(all: &'a [Arc<Mount>], form: &Form) -> Result<(usize, &'a [Arc<Mount>]), Refused> {
    let start = form.number("start")?.unwrap_or(0).min(all.len());
    let limit = form.number("limit")?.filter(|limit| *limit > 0);
    let end = all.len().min(start + limit.unwrap_or(LIMIT).min(LIMIT));
    Ok((start, &all[start..end]))
}

fn queued(index: usize, mount: &Arc<Mount>) -> Value {
    let status = mount.status();
    let mb = format!("{:.2}", mib(&status));
    let state = match status.state {
        State::Accepted => "Queued",
        _ if status.state.is_playable() => "Moving",
        _ => "Downloading",
    };
    json!({
        "nzo_id": nzo_id(mount.id()),
        "index": index,
        "status": state,
        "filename": status.name,
        "cat": status.category,
        "mb": mb,
        "mbleft": mb,
        "mbmissing": "0.0",
        "size": format!("{mb} MB"),
        "sizeleft": format!("{mb} MB"),
        "percentage": "0",
        "timeleft": "0:00:00",
        "priority": "Normal",
        "script": "None",
        "unpackopts": "3",
        "avg_age": "0d",
        "labels": [],
        "password": "",
    })
}

fn past(app: &App, mount: &Arc<Mount>) -> Value {
    let status = mount.status();
    let failure = status.failure.as_ref();
    let storage = app.usenet.settings.library.place(&status);
    let storage = storage.filter(|_| failure.is_none());
    let state = if failure.is_some() {
        "Failed"
    } else {
        "Completed"
    };
    json!({
        "nzo_id": nzo_id(mount.id()),
        "name": status.name,
        "nzb_name": format!("{}.nzb", status.name),
        "category": status.category,
        "status": state,
        "storage": storage,
        "path": storage,
        "bytes": status.bytes,
        "downloaded": status.bytes,
        "size": format!("{:.1} MB", mib(&status)),
        "fail_message": failure.map_or_else(String::new, |failure| format!("{}: {failure}", failure.code)),
        "download_time": (status.updated_ms - status.created_ms) / 1000,
        "postproc_time": 0,
        "completed": status.updated_ms / 1000,
        "time_added": status.created_ms / 1000,
        "retry": i64::from(failure.is_some()),
        "script": "None",
        "pp": "D",
        "stage_log": [],
        "action_line": "",
        "loaded": false,
        "archive": false,
        "meta": null,
    })
}

fn mib(status: &Status) -> f64 {
    status.bytes as f64 / MIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_goes_and_what_is_announced_stays() {
        use Fate::{Forgotten, Hidden, Withdrawn};
        use Which::{History, Queue};
        let check = |state, is_kept, which, with_files, expected| {
            let status = Status {
                state,
                is_kept,
                failure: None,
                name: String::new(),
                category: String::new(),
                files: Vec::new(),
                bytes: 0,
                articles: 0,
                missing: 0,
                created_ms: 0,
                updated_ms: 0,
            };
            let got = fate(&status, which, with_files);
            assert_eq!(got, expected, "{state:?} {is_kept} {which:?} {with_files}");
        };
        for is_kept in [false, true] {
            check(State::Failed, is_kept, History, false, Forgotten);
        }
        check(State::Completed, true, History, true, Withdrawn);
        check(State::Completed, true, Queue, true, Withdrawn);
        check(State::Completed, false, History, true, Forgotten);
        check(State::Completed, false, History, false, Hidden);
        check(State::Probing, false, Queue, false, Forgotten);
    }
}
