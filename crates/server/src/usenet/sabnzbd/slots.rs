//! The queue and the history: every mount is in one of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use usenet::{Mount, State, Status};

use super::super::form::Form;
use super::{Refused, VERSION, done, find, nzo_id};
use crate::Announce;
use crate::state::App;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Queue,
    History,
}

const LIMIT: usize = 1000;
/// A mount that hangs must not hold up the list.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
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

/// `name=delete&value=…`: of the queue, the post. Of the history, what failed and what nothing stands for;
/// a mount that is announced stays, since whoever announced it has links to it by now.
pub(super) async fn remove(app: &App, form: &Form, which: Which) -> Result<Value, Refused> {
    let value = form.get("value").unwrap_or_default().to_owned();
    let chosen = chosen(app, form, which).await;
    let mounts: Vec<_> = match &*value {
        "all" => chosen,
        "failed" => {
            let failed = |mount: &Arc<Mount>| mount.status().state == State::Failed;
            chosen.into_iter().filter(failed).collect()
        }
        ids => ids
            .split(',')
            .filter_map(|id| find(app, id.trim()))
            .collect(),
    };
    let with_files = matches!(form.get("del_files"), Some("1" | "true"));
    for mount in &mounts {
        let status = mount.status();
        if which == Which::History && status.is_kept {
            app.unannounce(mount).await;
            app.usenet.hide_from_history(mount.id());
        } else if which == Which::Queue || with_files || status.state == State::Failed {
            app.forget(mount).await?;
        } else {
            app.usenet.hide_from_history(mount.id());
        }
    }
    let ids: Vec<_> = mounts.iter().map(|mount| nzo_id(mount.id())).collect();
    Ok(json!({ "status": true, "nzo_ids": ids }))
}

/// `mode=retry&value=…`.
pub(super) async fn retry(app: &App, form: &Form) -> Result<Value, Refused> {
    let id = form.get("value").unwrap_or_default();
    let mount = find(app, id).ok_or_else(|| "there is no such job".to_owned())?;
    app.usenet.engine.retry(mount.id()).await?;
    app.usenet.shown_in_history(mount.id());
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
    let is_asked = |mount: &Arc<Mount>, status: &Status| {
        let (id, number) = (nzo_id(mount.id()), mount.id().to_string());
        ids.as_ref()
            .is_none_or(|ids| ids.iter().any(|asked| *asked == id || *asked == number))
            && category.is_none_or(|asked| asked.eq_ignore_ascii_case(&status.category))
            && search
                .as_ref()
                .is_none_or(|text| status.name.to_lowercase().contains(text))
    };
    let mut chosen = Vec::new();
    for mount in app.usenet.engine.mounts() {
        let status = mount.status();
        if is_asked(&mount, &status) && place(app, &mount, &status).await == Some(which) {
            chosen.push(mount);
        }
    }
    chosen
}

/// Which list a mount is in. Of the history only when its files are there for whoever asks.
async fn place(app: &App, mount: &Arc<Mount>, status: &Status) -> Option<Which> {
    if app.usenet.is_hidden_from_history(mount.id()) {
        return None;
    }
    match status.state {
        State::Accepted | State::Probing => return Some(Which::Queue),
        State::Failed => return Some(Which::History),
        State::Streamable | State::Verified | State::Completed => {}
    }
    let library = &app.usenet.settings.library;
    let Some(path) = library.place(status) else {
        return Some(Which::History);
    };
    if library.mode != Announce::None && !status.is_kept {
        return Some(Which::Queue);
    }
    // Where it is a mount of our own WebDAV, this comes back to us: never on a thread that serves.
    let there = tokio::time::timeout(LOOK_TIMEOUT, tokio::fs::try_exists(path)).await;
    match there {
        Ok(Ok(true)) => Some(Which::History),
        // What was taken away is over; what a mount does not show yet is still to come.
        _ if library.mode == Announce::None => Some(Which::Queue),
        _ => None,
    }
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
