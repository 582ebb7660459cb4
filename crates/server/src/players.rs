//! What players ask for: playlists, segments, keys, initialisation sections and continuous streams below
//! `/live` and, for clients of Dispatcharr's first HLS proxy, below `/stream`.
//!
//! Thousands of viewers ask for these every second, so their paths are matched by hand before the
//! router, which has all others: a match, a look into a snapshot, a response.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use bytes::Bytes;
use grant::{Actions, Admitted, Ask, Wanted};
use http::request::Parts;
use http::{HeaderValue, Method, header};
use http_body::Body as _;
use live::{Channel, Rendered, Unavailable};

use crate::client::{Peer, Requester, base_url};
use crate::cors;
use crate::error::Problem;
use crate::media::{self, Wants};
use crate::playlists;
use crate::state::App;

/// A path of players, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked<'a> {
    /// `/live/g/{grant}/…`: the same paths, for who holds a grant.
    grant: Option<&'a str>,
    channel: &'a str,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'a> {
    /// `/live/g/{grant}/channels.m3u`: all channels, each under this grant.
    List,
    /// `/live/{channel}.ts`: everything in one stream.
    Continuous,
    /// `/live/{channel}/index.m3u8`: the multivariant playlist, or that of the only track.
    Index,
    /// `/live/{channel}/{file}`: what the multivariant playlist refers to beside its tracks.
    Extra(&'a str),
    /// `/live/{channel}/{track}/{file}`.
    OfTrack { track: &'a str, file: &'a str },
    /// `/stream/{channel}`: the playlist of one track.
    Compatible,
    /// `/stream/{channel}/segments/{file}`.
    CompatibleFile(&'a str),
}

/// No channel has this name: there is no dot in any.
const LIST: &str = "channels.m3u";

impl<'a> Asked<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let (face, mut channel) = (segments.next()?, segments.next()?);
        let mut grant = None;
        match (face, channel) {
            ("live", "g") => {
                grant = Some(segments.next()?);
                channel = segments.next()?;
            }
            // Tokened playlists of private libraries, which the router has.
            ("stream", "hls") => return None,
            _ => {}
        }
        let rest = (segments.next(), segments.next(), segments.next());
        let (channel, what) = match (face, rest) {
            ("live", (None, None, None)) => match channel.strip_suffix(".ts") {
                Some(channel) => (channel, What::Continuous),
                None if grant.is_some() && channel == LIST => (channel, What::List),
                None => return None,
            },
            (_, rest) => (channel, Self::below(face, rest)?),
        };
        (!channel.is_empty()).then_some(Self {
            grant,
            channel,
            what,
        })
    }

    /// What lies below a channel.
    fn below(
        face: &str,
        rest: (Option<&'a str>, Option<&'a str>, Option<&'a str>),
    ) -> Option<What<'a>> {
        Some(match (face, rest) {
            ("live", (Some("index.m3u8"), None, None)) => What::Index,
            ("live", (Some(file), None, None)) => What::Extra(file),
            ("live", (Some(track), Some(file), None)) => What::OfTrack { track, file },
            ("stream", (None, None, None)) => What::Compatible,
            ("stream", (Some("segments"), Some(file), None)) => What::CompatibleFile(file),
            _ => return None,
        })
    }
}

/// Answers a request for one of these paths; `None` leaves it to the router.
pub(crate) async fn answer(app: &App, request: &Parts, peer: Peer) -> Option<Response> {
    let asked = Asked::parse(request.uri.path())?;
    let mut response = match request.method {
        Method::GET | Method::HEAD => serve(app, asked, request, peer)
            .await
            .unwrap_or_else(Problem::into_response),
        Method::OPTIONS => cors::preflight().await,
        _ => not_allowed(),
    };
    cors::mark(&mut response);
    app.metrics.requests.count(response.status());
    Some(response)
}

fn not_allowed() -> Response {
    let mut response = Problem::method_not_allowed().into_response();
    let methods = HeaderValue::from_static("GET,HEAD,OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

async fn serve(
    app: &App,
    asked: Asked<'_>,
    request: &Parts,
    peer: Peer,
) -> Result<Response, Problem> {
    let mut requester = Requester::new(&request.headers, peer, app);
    let admitted = permit(app, &asked, &requester)?;
    if let (What::List, Some(grant)) = (asked.what, asked.grant) {
        let base_url = base_url(request, peer, app);
        return playlists::of_grant(app, request.uri.query(), &base_url, grant);
    }
    // Viewers behind one address are told apart by their grants.
    if let Some(admitted) = &admitted {
        requester.key.session = Some(admitted.grant.session.to_string());
    }
    let channel = app
        .live
        .channel(asked.channel)
        .ok_or_else(|| Problem::no_channel(asked.channel))?;
    let wants = Wants::of(&request.method, &request.headers);
    admit(app, &channel, &requester)?;
    let response = match asked.what {
        What::Index => playlist(channel.index().await, &wants)?,
        What::OfTrack {
            track,
            file: "index.m3u8",
        } => playlist(channel.playlist(track).await, &wants)?,
        What::Compatible => playlist(channel.compatible().await, &wants)?,
        What::OfTrack { track, file } => file_of(&channel, track, file, &wants)?,
        What::CompatibleFile(file) => {
            let track = channel.compatible_track();
            let track = track.ok_or_else(|| Problem::not_found("the channel is not running"))?;
            file_of(&channel, &track, file, &wants)?
        }
        What::List => return Err(Problem::not_found("there is nothing at this path")),
        What::Extra(file) => media::passing(&extra(&channel, file).await?, &wants),
        What::Continuous => {
            let track = query(request.uri.query(), "track");
            let listener = channel.continuous(track.as_deref(), requester.key.clone());
            media::endless(listener.await?, app, admitted)
        }
    };
    count(app, &channel, &requester, &request.method, &response);
    Ok(response)
}

/// Counts a response for its channel and for who gets it. Bytes of sources are counted where they are
/// fetched.
pub(crate) fn count(
    app: &App,
    channel: &Channel,
    requester: &Requester,
    method: &Method,
    response: &Response,
) {
    let length = response.body().size_hint().exact();
    let length = length.filter(|_| method != Method::HEAD).unwrap_or(0);
    channel.count_out(length);
    channel
        .viewers
        .seen(&requester.key, app.live.clock().now(), length);
}

fn playlist(found: Result<Arc<Rendered>, Unavailable>, wants: &Wants) -> Result<Response, Problem> {
    Ok(media::playlist(&*found?, wants))
}

/// A segment or an object of a track by its file name.
pub(crate) fn file_of(
    channel: &Channel,
    track: &str,
    file: &str,
    wants: &Wants,
) -> Result<Response, Problem> {
    let gone = || Problem::not_found("no such file, or not any more");
    let (stem, ending) = file.rsplit_once('.').ok_or_else(gone)?;
    if let Some(msn) = number(stem) {
        let segment = channel.segment(track, msn);
        let segment = segment
            .filter(|segment| segment.container.extension() == ending)
            .ok_or_else(gone)?;
        let mut response = media::immutable(&segment.body, segment.container.mime(), wants);
        // For the connection, which can send it without a copy.
        if let Some(sealed) = segment.sealed {
            response.extensions_mut().insert(sealed);
        }
        return Ok(response);
    }
    let mime = match ending {
        "mp4" => "video/mp4",
        "ts" => "video/MP2T",
        "bin" => "application/octet-stream",
        _ => return Err(gone()),
    };
    let body = channel.object(track, file).ok_or_else(gone)?;
    Ok(media::immutable(&body, mime, wants))
}

/// One name for one segment: no sign, no leading zero.
fn number(stem: &str) -> Option<u64> {
    let plain =
        stem.bytes().all(|byte| byte.is_ascii_digit()) && (stem == "0" || !stem.starts_with('0'));
    if plain { stem.parse().ok() } else { None }
}

pub(crate) async fn extra(channel: &Channel, file: &str) -> Result<Bytes, Problem> {
    let index = file
        .strip_prefix("extra-")
        .and_then(|rest| rest.strip_suffix(".bin"));
    let index = index
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| Problem::not_found("no such file"))?;
    Ok(channel.extra(index).await?)
}

/// The value of a query's parameter.
fn query(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query?.as_bytes());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

/// Who may watch: everybody, or who holds a grant. No I/O.
fn permit(
    app: &App,
    asked: &Asked<'_>,
    requester: &Requester,
) -> Result<Option<Admitted>, Problem> {
    let Some(grant) = asked.grant else {
        return if app.viewers_need_grants() {
            Err(Problem::needs_grant())
        } else {
            Ok(None)
        };
    };
    let ask = Ask {
        wanted: match asked.what {
            What::List => Wanted::Channels,
            _ => Wanted::Channel(asked.channel),
        },
        action: Actions::PLAY,
        address: requester.key.address,
        user_agent: &requester.key.user_agent,
    };
    Ok(Some(app.grants.gate().admit(
        grant,
        &ask,
        app.grants.now_ms(),
    )?))
}

/// Refuses a viewer that was kicked a moment ago.
pub(crate) fn admit(app: &App, channel: &Channel, requester: &Requester) -> Result<(), Problem> {
    if channel
        .viewers
        .admits(&requester.key, app.live.clock().now())
    {
        return Ok(());
    }
    Err(Problem::new(
        ErrorKind::Denied,
        "kicked",
        "this viewer was removed by an administrator",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, What<'_>)>) {
        let expected = expected.map(|(channel, what)| Asked {
            grant: None,
            channel,
            what,
        });
        assert_eq!(Asked::parse(path), expected, "{path}");
    }

    #[test]
    fn players_paths_are_told_from_all_others() {
        check("/live/news/index.m3u8", Some(("news", What::Index)));
        check("/live/news.ts", Some(("news", What::Continuous)));
        check(
            "/live/news/extra-0.bin",
            Some(("news", What::Extra("extra-0.bin"))),
        );
        check(
            "/live/news/v0/12.ts",
            Some((
                "news",
                What::OfTrack {
                    track: "v0",
                    file: "12.ts",
                },
            )),
        );
        check("/stream/news", Some(("news", What::Compatible)));
        check(
            "/stream/news/segments/1.ts",
            Some(("news", What::CompatibleFile("1.ts"))),
        );
        for other in [
            "/",
            "",
            "/live",
            "/live/news",
            "/live/.ts",
            "/stream/a.ts/b",
            "/live//index.m3u8",
            "/live/a/b/c/d",
            "/stream/a/b",
            "/stream/a/x/1.ts",
            "/api/v1/channels",
        ] {
            check(other, None);
        }
    }
}
