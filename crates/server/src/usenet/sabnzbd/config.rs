//! What SABnzbd says of itself: its configuration as far as others read it, and its state.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::form::Form;
use super::VERSION;
use crate::state::App;

/// What Sonarr, Radarr, AIOStreams and people call their categories. Any other is taken as well; these are
/// listed because some programs refuse a category that is not.
const USUAL: [&str; 12] = [
    "Movies", "TV", "anime", "audio", "books", "default", "lidarr", "movies", "radarr", "sonarr",
    "stremio", "tv",
];

/// `mode=get_cats`.
pub(super) fn categories(app: &App) -> Vec<String> {
    let mounts = app.usenet.engine.mounts();
    let used = mounts.iter().map(|mount| mount.status().category.clone());
    let usual = USUAL.iter().map(|name| (*name).to_owned());
    let all: BTreeSet<String> = usual.chain(used).collect();
    std::iter::once("*".to_owned()).chain(all).collect()
}

/// `mode=get_config`, all of it or `section=`.
pub(super) fn config(app: &App, form: &Form) -> Value {
    let categories = categories(app).into_iter().enumerate();
    let categories: Vec<_> = categories
        .map(|(order, name)| {
            // Below the folder for finished posts, where its files are announced.
            let dir = if name == "*" { "" } else { &*name };
            json!({ "name": name, "order": order, "pp": "3", "script": "None", "dir": dir,
                "newzbin": "", "priority": 0 })
        })
        .collect();
    let config = json!({
        "misc": {
            "complete_dir": complete_dir(app),
            "download_dir": complete_dir(app),
            "enable_tv_sorting": false,
            "enable_movie_sorting": false,
            "enable_date_sorting": false,
            "tv_categories": [],
            "movie_categories": [],
            "date_categories": [],
            "pre_check": false,
            "history_retention": "",
            "history_retention_option": "all",
            "history_retention_number": 0,
        },
        "categories": categories,
        "servers": [],
        "sorters": [],
    });
    match form.get("section") {
        Some(section) => json!({ "config": { section: config[section] } }),
        None => json!({ "config": config }),
    }
}

/// `mode=fullstatus` and `mode=status`.
pub(super) fn status(app: &App) -> Value {
    let providers = app.usenet.engine.providers();
    let servers: Vec<_> = providers
        .iter()
        .map(|provider| {
            json!({ "servername": provider.host, "servertotalconn": provider.connections_max,
                "serveractiveconn": provider.connections, "serveractive": true,
                "servererror": provider.last_error.clone().unwrap_or_default() })
        })
        .collect();
    json!({ "status": {
        "version": VERSION,
        "completedir": complete_dir(app),
        "downloaddir": complete_dir(app),
        "paused": false,
        "paused_all": false,
        "status": "Idle",
        "have_warnings": "0",
        "warnings": [],
        "servers": servers,
    }})
}

/// The folder that `storage` lies in.
fn complete_dir(app: &App) -> String {
    let library = &app.usenet.settings.library;
    let announced = library
        .dir
        .as_ref()
        .filter(|_| library.mode != crate::Announce::None);
    let dir = announced.cloned().or_else(|| {
        let mounted = library.mount_dir.as_ref();
        mounted.map(|dir| dir.join("content"))
    });
    dir.map_or_else(String::new, |dir| dir.to_string_lossy().into_owned())
}
