//! `GET /share/{token}`: the page of a link, or its JSON, and what it plays. Compatible: errors are
//! `{"detail": "…"}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base::{ErrorKind, Redacted};
use grant::{Actions, Basis, Binding, Order, ShareId, Subject, Wanted};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vod::Asset;

use super::Caller;
use super::shares::Share;
use super::stream::{StreamUrl, url_of};
use crate::body::Whole;
use crate::error::{Compat, Problem};
use crate::options::{Options, flag};
use crate::page;
use crate::state::App;

/// A share as its page needs it. Without the password there is no more than that one is needed.
#[derive(Debug, Serialize)]
struct Shown {
    asset_id: Option<String>,
    title: String,
    description: Option<String>,
    permission: &'static str,
    allow_download: bool,
    requires_password: bool,
    visibility: &'static str,
    asset: Option<ShownAsset>,
    share_session: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownAsset {
    id: String,
    name: String,
    asset_type: &'static str,
    duration_ms: Option<u64>,
    width: Option<u64>,
    height: Option<u64>,
    ready: bool,
}

#[derive(Deserialize)]
pub(crate) struct ShowOptions {
    password: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Password {
    password: String,
}

#[derive(Deserialize)]
pub(crate) struct PlayOptions {
    share_session: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    download: bool,
}

/// How long an entered password lasts.
const SESSION_S: u64 = 3600;
/// Of what is kept about a viewer.
const PLAYER_CHARS_MAX: usize = 80;

/// `GET /share/{token}`.
pub(crate) async fn show(
    State(app): State<App>,
    Path(token): Path<String>,
    options: Result<Options<ShowOptions>, Problem>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Compat> {
    if wants_page(&headers) {
        return Ok(page(&app, &token, &headers).await);
    }
    let Options(options) = options?;
    let password = options.password.map(Redacted::new);
    // A password is counted before it is looked at; whoever has a link and tries none guesses nothing.
    if password.is_some() {
        app.throttles.share.admit(caller.address)?;
    }
    let link = Link::open(&app, &token).await;
    if link.is_err() && password.is_none() {
        app.throttles.share.admit(caller.address)?;
    }
    link?.shown(&app, password).await
}

/// `POST /share/{token}`: the password, as JSON or as a form.
pub(crate) async fn enter(
    State(app): State<App>,
    Path(token): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Whole, Problem>,
) -> Result<Response, Compat> {
    app.throttles.share.admit(caller.address)?;
    let Whole(body) = body?;
    let json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let password = if json {
        serde_json::from_slice::<Password>(&body)
            .ok()
            .map(|form| form.password)
    } else {
        let mut pairs = url::form_urlencoded::parse(&body);
        pairs
            .find(|(name, _)| name == "password")
            .map(|(_, value)| value.into_owned())
    };
    let password = password.ok_or_else(|| {
        Problem::new(ErrorKind::Invalid, "bad_body", "the body names no password")
    })?;
    let link = Link::open(&app, &token).await?;
    link.shown(&app, Some(Redacted::new(password))).await
}

/// `GET /share/{token}/stream/{asset}`.
pub(crate) async fn stream(
    State(app): State<App>,
    Path((token, asset)): Path<(String, String)>,
    options: Result<Options<PlayOptions>, Problem>,
    caller: Caller,
) -> Result<StreamUrl, Compat> {
    let Options(options) = options?;
    app.throttles.stream.admit(caller.address)?;
    let scope = asset.parse::<Uuid>().map(Subject::Asset);
    let basis = scope.map(|scope| app.grants.gate().basis(scope, Some(ShareId::of(&token))));
    let link = Link::open(&app, &token).await?;
    let basis = basis.ok().filter(|_| asset == link.stored.asset);
    let basis = basis.ok_or_else(|| denied("the asset is not this link's"))?;
    let session = link.session(&app, &caller, options.share_session.as_deref())?;
    let asset = app.vod.wanted(&asset).await?;
    let hands_out_original = options.download || asset.is_original_only();
    if hands_out_original && !link.share.allow_download {
        return Err(denied("this link does not allow downloads").into());
    }
    let actions = if link.share.allow_download {
        Actions::PLAY.and(Actions::DOWNLOAD)
    } else {
        Actions::PLAY
    };
    let until_s = link
        .share
        .expires_ms
        .and_then(|ms| u64::try_from(ms / 1000).ok());
    let order = Order {
        until_s,
        actions,
        ..Order::play(basis)
    };
    let url = url_of(&app, &asset, options.download, order)?;
    link.count(&app, session, options.download, &caller).await?;
    Ok(StreamUrl { url })
}

/// A link that leads somewhere: it exists, is enabled and has not expired.
struct Link {
    id: ShareId,
    /// Of its sessions.
    basis: Basis,
    stored: store::StoredShare,
    share: Share,
}

impl Link {
    async fn open(app: &App, token: &str) -> Result<Self, Problem> {
        let id = ShareId::of(token);
        let basis = app.grants.gate().basis(Subject::Share(id), Some(id));
        let stored = app.store.share(token).await?;
        let stored = stored.ok_or_else(|| Problem::not_found("there is no such link"))?;
        let share = Share::read(&stored)?;
        if !share.is_enabled {
            return Err(denied("this link was disabled"));
        }
        if share.expires_ms.is_some_and(|ms| ms <= app.grants.now_ms()) {
            return Err(gone("expired", "this link has expired"));
        }
        Ok(Self {
            id,
            basis,
            stored,
            share,
        })
    }

    async fn shown(
        &self,
        app: &App,
        password: Option<Redacted<String>>,
    ) -> Result<Response, Compat> {
        let open = match password {
            None => !self.share.requires_password(),
            Some(password) => {
                if !self.share.opens(password).await? {
                    return Err(denied("the password is wrong").into());
                }
                true
            }
        };
        let shown = if open {
            self.opened(app).await?
        } else {
            Shown {
                asset_id: None,
                title: self.share.title.clone(),
                description: None,
                permission: "view",
                allow_download: false,
                requires_password: true,
                visibility: "public",
                asset: None,
                share_session: None,
            }
        };
        let headers = [
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (VARY, HeaderValue::from_static("Accept")),
        ];
        Ok((headers, Json(shown)).into_response())
    }

    async fn opened(&self, app: &App) -> Result<Shown, Problem> {
        let asset = app.vod.asset(&self.stored.asset).await?;
        let ends_s = u64::try_from(app.grants.now_ms() / 1000).unwrap_or(0) + SESSION_S;
        let order = Order {
            must_start: false,
            until_s: Some(ends_s),
            ..Order::play(self.basis.clone())
        };
        let (_, session) = app.grants.mint(order)?;
        let title = if self.share.title.is_empty() {
            asset.facts.name.clone()
        } else {
            self.share.title.clone()
        };
        Ok(Shown {
            asset_id: Some(asset.id.to_string()),
            title,
            description: Some(self.share.description.clone()),
            permission: "view",
            allow_download: self.share.allow_download,
            requires_password: self.share.requires_password(),
            visibility: "public",
            asset: Some(ShownAsset::from(&*asset)),
            share_session: Some(session),
        })
    }

    /// The session of who asks; where there is a password, it must be there.
    fn session(
        &self,
        app: &App,
        caller: &Caller,
        shown: Option<&str>,
    ) -> Result<Option<grant::SessionId>, Problem> {
        let Some(shown) = shown else {
            return if self.share.requires_password() {
                Err(denied("the link's password must be entered first"))
            } else {
                Ok(None)
            };
        };
        let ask = caller.ask(Wanted::Share(self.id), Actions::PLAY);
        let admitted = app.grants.gate().admit(shown, &ask, app.grants.now_ms());
        let admitted = admitted.map_err(|_| denied("the link's session has ended"))?;
        Ok(Some(admitted.grant.session))
    }

    /// Counts and notes what was handed out. One session is one view, however often it begins again.
    async fn count(
        &self,
        app: &App,
        session: Option<grant::SessionId>,
        download: bool,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let token = self.stored.token.expose();
        if !download && !app.was_counted(session).await && !app.store.count_view(token).await? {
            return Err(gone(
                "used_up",
                "this link was viewed as often as it may be",
            ));
        }
        app.counted(session).await;
        let player: String = caller.user_agent.chars().take(PLAYER_CHARS_MAX).collect();
        let viewer = format!("{} {player}", Binding::network_of(caller.address));
        let action = if download { "downloaded" } else { "viewed" };
        Ok(app
            .store
            .note_activity(token, action, viewer.trim_end())
            .await?)
    }
}

/// The page itself tells what is wrong with a link, by asking for its JSON; its status says so to others.
async fn page(app: &App, token: &str, headers: &HeaderMap) -> Response {
    let link = Link::open(app, token).await;
    let origin = match &link {
        Ok(link) => media_origin(app, &link.stored.asset).await,
        Err(_) => None,
    };
    let mut response = page::share(origin.as_deref(), headers).await;
    if let Err(problem) = link {
        *response.status_mut() = problem.into_response().status();
    }
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Where a browser fetches an asset's media, if not here.
async fn media_origin(app: &App, asset: &str) -> Option<String> {
    let asset = app.vod.asset(asset).await.ok()?;
    let library = app.vod.library(&asset.library).ok()?;
    let bucket = library
        .bucket()
        .filter(|_| library.segments() != vod::Segments::Tunnel)?;
    Some(bucket.unsigned("x").origin().ascii_serialization())
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default();
    // Programs that take anything want JSON: a page must be asked for by name.
    let page = quality(accept, &["text/html", "text/*"]);
    let json = quality(accept, &["application/json", "application/*", "*/*"]);
    page.is_some_and(|page| page > 0.0 && page >= json.unwrap_or(0.0))
}

/// How much a type is wanted (RFC 9110 §12.5.1), by its names from the exact one to the widest.
fn quality(accept: &str, names: &[&str]) -> Option<f32> {
    let of = |name: &&str| {
        accept.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case(name) {
                return None;
            }
            let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            Some(q.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
        })
    };
    names.iter().find_map(of)
}

fn denied(detail: &str) -> Problem {
    Problem::new(ErrorKind::Denied, "denied", detail)
}

fn gone(code: &'static str, detail: &str) -> Problem {
    Problem::new(ErrorKind::NotFound, code, detail).with_status(StatusCode::GONE)
}

impl From<&Asset> for ShownAsset {
    fn from(asset: &Asset) -> Self {
        let probe = asset.facts.probe.clone().unwrap_or_default();
        let largest = probe.variants.iter().max_by_key(|variant| variant.height);
        Self {
            id: asset.id.to_string(),
            name: asset.facts.name.clone(),
            asset_type: asset.facts.kind.as_str(),
            duration_ms: probe.duration_ms,
            width: largest.and_then(|variant| variant.width),
            height: largest.and_then(|variant| variant.height),
            ready: asset.is_ready(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_the_page_says_so() {
        let check = |accept: &str, expected: bool| {
            let value = HeaderValue::from_str(accept).unwrap();
            let headers = HeaderMap::from_iter([(ACCEPT, value)]);
            assert_eq!(wants_page(&headers), expected, "{accept}");
        };
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            true,
        );
        check("text/html", true);
        check("TEXT/HTML; q=0.7, application/json;q=0.5", true);
        check("application/json, text/html;q=0.5", false);
        check("text/html;q=0, */*", false);
        check("text/html;q=0", false);
        check("application/json, text/plain, */*", false);
        check("*/*", false);
        check("", false);
        check("text/htmlx", false);
        assert!(!wants_page(&HeaderMap::new()));
    }
}
