//! SABnzbd's API as Sonarr, Radarr and AIOStreams use it: `/sabnzbd/api` and `/api?mode=`. JSON only;
//! errors keep its shape, `{"status": false, "error": "…"}`.
//!
//! A post that plays at once is `Completed` at once: the queue holds what is being looked at. Pause,
//! resume and priorities are answered and change nothing, since an import is over before they could.

mod config;
mod looks;
mod slots;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use usenet::{Mount, MountId, Submitted};

use super::form::Form;
use super::intake::{self, Rejected, Wish, stem};
use crate::auth::has_key;
use crate::state::App;

pub(super) use looks::Looks;

/// The release whose API this is.
const VERSION: &str = "4.5.0";
const NZO: &str = "SABnzbd_nzo_";

/// A call that comes to nothing.
struct Refused(StatusCode, String);

impl From<String> for Refused {
    /// SABnzbd answers 200 to everything, and its callers read `status`.
    fn from(message: String) -> Self {
        Self(StatusCode::OK, message)
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        rejected.message.into()
    }
}

impl From<usenet::Error> for Refused {
    fn from(error: usenet::Error) -> Self {
        error.to_string().into()
    }
}

/// `GET|POST …/api?mode=…`.
pub(crate) async fn api(State(app): State<App>, request: Request) -> Response {
    match answer(&app, request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(Refused(status, error)) => {
            (status, Json(json!({ "status": false, "error": error }))).into_response()
        }
    }
}

async fn answer(app: &App, request: Request) -> Result<Value, Refused> {
    let query = Form::of_query(request.uri().query());
    let has_key = has_key(app, request.headers()) || key_of(app, &query)?;
    let (form, broken) = match app.usenet.form(request, has_key).await {
        Ok(form) => (form, None),
        Err(unread) => (unread.form, Some(unread.error)),
    };
    let mode = form.get("mode").unwrap_or_default().to_owned();
    match &*mode {
        "version" => return Ok(json!({ "version": VERSION })),
        "auth" => return Ok(json!({ "auth": "apikey" })),
        _ if has_key || key_of(app, &form)? => {}
        _ => return Err(Refused(StatusCode::UNAUTHORIZED, "API Key Required".into())),
    }
    if let Some(error) = broken {
        return Err(error.to_string().into());
    }
    match &*mode {
        "get_config" => Ok(config::config(app, &form)),
        "get_cats" => Ok(json!({ "categories": config::categories(app) })),
        "get_scripts" => Ok(json!({ "scripts": ["None"] })),
        "status" | "fullstatus" => Ok(config::status(app)),
        "addfile" | "addurl" => add(app, &mode, form).await,
        "queue" => match form.get("name") {
            None => slots::queue(app, &form).await,
            Some("delete" | "purge") => slots::remove(app, &form, slots::Which::Queue).await,
            Some("pause" | "resume" | "priority" | "change_complete_action") => Ok(done()),
            Some(other) => Err(unknown("queue", other)),
        },
        "history" => match form.get("name") {
            None => slots::history(app, &form).await,
            Some("delete") => slots::remove(app, &form, slots::Which::History).await,
            Some(other) => Err(unknown("history", other)),
        },
        "delete" => slots::remove(app, &form, slots::Which::Queue).await,
        "retry" => slots::retry(app, &form).await,
        "pause" | "resume" | "switch" | "change_cat" | "set_config" => Ok(done()),
        "" => Err("mode is missing".to_owned().into()),
        other => Err(unknown("mode", other)),
    }
}

/// Whether a form holds an API key.
fn key_of(app: &App, form: &Form) -> Result<bool, Refused> {
    match form.get("apikey") {
        None => Ok(false),
        Some(key) if app.keys.verify(key).is_some() => Ok(true),
        Some(_) => Err(Refused(
            StatusCode::UNAUTHORIZED,
            "API Key Incorrect".into(),
        )),
    }
}

async fn add(app: &App, mode: &str, form: Form) -> Result<Value, Refused> {
    let field = |name: &str| form.get(name).map(str::to_owned);
    let category = field("cat").or_else(|| field("category"));
    let category = category.filter(|category| category != "*" && category != "Default");
    let url = (mode == "addurl")
        .then(|| field("name").or_else(|| field("value")))
        .flatten();
    if mode == "addurl" && url.is_none() {
        return Err("name must be the URL of an NZB".to_owned().into());
    }
    let wish = Wish {
        category: category.clone().unwrap_or_default(),
        name: field("nzbname").map(|name| stem(&name).to_owned()),
        password: field("password").map(base::Redacted::new),
    };
    let submitted = intake::submit(app, url.as_deref(), form, wish).await?;
    let id = submitted.mount.id();
    if submitted.is_known {
        adopt(app, submitted, category).await?;
    }
    Ok(json!({ "status": true, "nzo_ids": [nzo_id(id)] }))
}

/// A post that is known, whatever became of it, is wanted where its caller looks for it: by category and
/// name. Perhaps its files were taken away, and are wanted again; what failed is tried again.
async fn adopt(app: &App, submitted: Submitted, category: Option<String>) -> Result<(), Refused> {
    let mount = &submitted.mount;
    let status = mount.status();
    let category = category.unwrap_or_else(|| status.category.clone());
    let name = submitted.name.unwrap_or_else(|| status.name.clone());
    // Another post may have the name: then it is numbered, as a new one would be.
    let numbered = (2..).map(|number: u32| format!("{name} ({number})"));
    for name in std::iter::once(name.clone()).chain(numbered) {
        match app.rename(mount, &category, &name).await {
            Err(usenet::Error::Taken { .. }) => {}
            renamed => {
                renamed?;
                break;
            }
        }
    }
    app.usenet.set_hidden_from_history(mount.id(), false).await;
    app.usenet.engine.retry(mount.id()).await?;
    app.announce(mount).await;
    Ok(())
}

fn done() -> Value {
    json!({ "status": true })
}

fn unknown(what: &str, word: &str) -> Refused {
    let word: String = word.chars().take(40).collect();
    format!("{what} {word:?} is not known here").into()
}

fn nzo_id(id: MountId) -> String {
    format!("{NZO}{id}")
}

/// The mount of an id of ours, or of the number that other answers give.
fn find(app: &App, text: &str) -> Option<std::sync::Arc<Mount>> {
    let number = text.strip_prefix(NZO).unwrap_or(text);
    app.usenet.engine.mount(MountId(number.parse().ok()?))
}
