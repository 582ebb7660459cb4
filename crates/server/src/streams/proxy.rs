//! `GET /proxy`: the playlist behind an entry, its URIs led through `/proxy` and `/relay`. `GET /relay`: what
//! they lead to.
//!
//! Behind an entry stands a channel like any other, so that a thousand viewers cost one upstream fetch
//! and no player sees a link, nor its end. References below it are `REFERENCE.TRACK` and
//! `REFERENCE.TRACK.FILE`: they name, and open nothing that the reference itself does not.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::ErrorKind;
use base64::Engine;
use hls::playlist::{Document, Error, Limits, Playlist, Variables};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method};
use live::{Channel, Unavailable};
use resolve::EntryKey;
use resolve::entry::Kind;
use serde::Deserialize;
use url::Url;

use super::{BASE64URL, Params, Viewer, decoded, file, invalid, later};
use crate::client::Requester;
use crate::error::{Compat, Problem};
use crate::media::{self, Wants};
use crate::players::{self, extra, file_of};
use crate::state::App;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    url: String,
    quality: Option<usize>,
}

/// `REFERENCE.TRACK.FILE`, or `REFERENCE.extra-N.bin`: what a playlist of an entry leads to.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    reference: &'a str,
    track: Option<&'a str>,
    file: &'a str,
}

/// An entry, and the track of it that is meant.
struct Found {
    key: EntryKey,
    reference: String,
    track: Option<String>,
    kind: Kind,
}

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// The playlist, or that of its variant number `quality`, 0 being the best.
pub(super) async fn playlist(
    _: Viewer,
    State(app): State<App>,
    Params(asked): Params<Asked>,
    requester: Requester,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Compat> {
    let text = decoded(&asked.url).ok_or_else(|| invalid("url must be base64url"))?;
    let found = find(&app, &text)?;
    if found.kind == Kind::File {
        return Err(invalid("this is a file, which /relay has").into());
    }
    let channel = channel(&app, &found.reference, &found.key)?;
    players::admit(&app, &channel, &requester)?;
    if channel.view().tracks.is_empty() {
        file::link(&app, &found.key).await?;
    }
    let wants = Wants::of(&method, &headers);
    let response = match &found.track {
        Some(track) => media_playlist(&channel, &found.reference, track, &wants).await?,
        None => whole(&channel, &found.reference, asked.quality, &wants).await?,
    };
    players::count(&app, &channel, &requester, &method, &response);
    Ok(response)
}

fn channel(app: &App, reference: &str, key: &EntryKey) -> Result<Arc<Channel>, Problem> {
    let channel = app.live.entry(reference, key);
    channel.ok_or_else(|| later("too many streams are played at once"))
}

fn unknown() -> Problem {
    let why = "no resolver has returned this URL";
    Problem::new(ErrorKind::Denied, "unknown_link", why)
}

/// Why an entry brought nothing to play, in the words of its source.
fn not_played(channel: &Channel, error: Unavailable) -> Problem {
    let view = channel.view();
    // That it was given up is the sum of what went wrong before.
    let mut errors = view.status.errors.iter().rev();
    let why = errors.find(|note| note.code != "source_failed");
    match (error, why) {
        (Unavailable::NotStarted(_), Some(why)) => later(format!("{error}: {}", why.detail)),
        _ => error.into(),
    }
}

async fn media_playlist(
    channel: &Arc<Channel>,
    reference: &str,
    track: &str,
    wants: &Wants,
) -> Result<Response, Problem> {
    let rendered = channel.relayed(reference, track).await;
    let rendered = rendered.map_err(|error| match error {
        Unavailable::NotFound => Problem::not_found("there is no such variant"),
        error => not_played(channel, error),
    })?;
    Ok(media::playlist(&rendered, wants))
}

async fn whole(
    channel: &Arc<Channel>,
    reference: &str,
    quality: Option<usize>,
    wants: &Wants,
) -> Result<Response, Problem> {
    let index = channel.index().await;
    let index = index.map_err(|error| not_played(channel, error))?;
    if channel.view().multivariant.is_none() {
        return match quality {
            None | Some(0) => media_playlist(channel, reference, "main", wants).await,
            Some(_) => Err(out_of_range(1)),
        };
    }
    let body = index.identity().body;
    if let Some(quality) = quality {
        let tracks = tracks_by_bandwidth(&body);
        return match tracks.get(quality) {
            Some(track) => media_playlist(channel, reference, track, wants).await,
            None => Err(out_of_range(tracks.len())),
        };
    }
    let headers = [(CONTENT_TYPE, PLAYLIST), (CACHE_CONTROL, "no-cache")];
    let text = relayed(&body, reference)
        .map_err(|error| Problem::new(ErrorKind::Corrupt, "playlist", error.to_string()))?;
    Ok((headers, text).into_response())
}

fn out_of_range(count: usize) -> Problem {
    invalid(format!(
        "quality is out of range: there are {count} variants, from 0"
    ))
}

/// The multivariant playlist with its URIs led through us.
fn relayed(body: &[u8], reference: &str) -> Result<String, Error> {
    let document = Document::parse(body, &Limits::default())?;
    let document = document.rewrite(|found| {
        Ok::<_, Error>(match found.uri.strip_suffix("/index.m3u8") {
            Some(track) => format!(
                "proxy?url={}",
                BASE64URL.encode(format!("{reference}.{track}"))
            ),
            None if found.uri.starts_with("extra-") => {
                format!("relay?url={reference}.{}", found.uri)
            }
            None => found.uri.to_owned(),
        })
    })?;
    Ok(document.text().to_owned())
}

/// The tracks of the variants, the best first.
fn tracks_by_bandwidth(body: &[u8]) -> Vec<String> {
    let base = Url::parse("http://entry.invalid/").expect("a valid URL");
    let playlist = Playlist::parse(body, &base, &Variables::default(), &Limits::default());
    let Ok(Playlist::Multivariant(mut multi)) = playlist else {
        return Vec::new();
    };
    multi
        .variants
        .sort_by_key(|variant| std::cmp::Reverse(variant.bandwidth));
    let mut tracks: Vec<String> = Vec::new();
    for variant in &multi.variants {
        let track = variant.uri.trim_end_matches("/index.m3u8");
        if !tracks.iter().any(|known| known == track) {
            tracks.push(track.to_owned());
        }
    }
    tracks
}

/// The entry that a text names: by reference, by a reference to one of its tracks, or by a link.
///
/// # Errors
/// No resolver returned it; or its resolver has left it out for a while, which players wait for.
fn find(app: &App, text: &str) -> Result<Found, Problem> {
    let resolvers = app.live.resolvers();
    let (head, track) = match text.split_once('.') {
        Some((head, track)) if resolvers.find(head).is_some() => (head, Some(track.to_owned())),
        _ => (text, None),
    };
    let key = resolvers.find(head).ok_or_else(unknown)?;
    let follower = resolvers.follow(&key).ok_or_else(unknown)?;
    let listed = follower.newest().ok_or_else(|| {
        follower.used_now();
        later(follower.trouble())
    })?;
    Ok(Found {
        reference: listed.reference,
        kind: listed.link.entry.kind,
        key,
        track,
    })
}

/// Bytes: a segment, a key, a file.
pub(super) async fn relay(
    _: Viewer,
    State(app): State<App>,
    Params(asked): Params<Asked>,
    requester: Requester,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Compat> {
    let wants = Wants::of(&method, &headers);
    if let Some(part) = Part::parse(&asked.url) {
        let channel = part.channel(&app)?;
        players::admit(&app, &channel, &requester)?;
        let response = match part.track {
            Some(track) => file_of(&channel, track, part.file, &wants)?,
            None => media::passing(&extra(&channel, part.file).await?, &wants),
        };
        players::count(&app, &channel, &requester, &method, &response);
        return Ok(response);
    }
    let text = decoded(&asked.url).ok_or_else(unknown)?;
    let found = find(&app, &text)?;
    match found.kind {
        _ if found.track.is_some() => Err(unknown().into()),
        Kind::Hls => Err(invalid("this is a playlist, which /proxy has").into()),
        Kind::File | Kind::Ts => Ok(file::relay(&app, &found.key, &method, &headers).await?),
    }
}

impl<'a> Part<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (reference, rest) = name.split_once('.')?;
        let (track, file) = match rest.starts_with("extra-") {
            true => (None, rest),
            false => {
                let (track, file) = rest.split_once('.')?;
                (Some(track), file)
            }
        };
        Some(Self {
            reference,
            track,
            file,
        })
    }

    /// The channel that plays the entry. After a restart nobody may have asked for its playlist yet: then
    /// the file is not there, but its name is no stranger's.
    fn channel(&self, app: &App) -> Result<Arc<Channel>, Problem> {
        if let Some(channel) = app.live.played_entry(self.reference) {
            return Ok(channel);
        }
        let key = app.live.resolvers().find(self.reference);
        channel(app, self.reference, &key.ok_or_else(unknown)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multivariant_playlist_leads_through_us() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"a0/index.m3u8\"\n\
            #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"extra-0.bin\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=100\nv0/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=300\nv1/index.m3u8\n";
        let expected = text
            .replace("a0/index.m3u8", "proxy?url=UkVGLmEw")
            .replace("v0/index.m3u8", "proxy?url=UkVGLnYw")
            .replace("v1/index.m3u8", "proxy?url=UkVGLnYx")
            .replace("extra-0.bin", "relay?url=REF.extra-0.bin");
        assert_eq!(relayed(text.as_bytes(), "REF").unwrap(), expected);
        assert_eq!(decoded("UkVGLnYx").as_deref(), Some("REF.v1"));
        assert_eq!(tracks_by_bandwidth(text.as_bytes()), ["v1", "v0"]);
    }
}
