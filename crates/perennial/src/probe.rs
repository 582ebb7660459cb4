//! Asking a source what it is, as a channel would.

use std::time::Duration;

use anyhow::Context;
use fetch::{Client, Headers, Request, Response, Streaming};
use hls::channel::{Aim, Cutter, SourceKind};
use hls::container::inspect;
use hls::playlist::{Limits, Media, Playlist, Variables};
use live::spec::SourceSpec;
use url::Url;

/// What a source answered.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) what: String,
    pub(crate) warning: Option<String>,
}

const SEGMENT_MAX: u64 = 64 << 20;
/// The longest first segment, and the wait for its beginning.
const STREAM_PATIENCE: Duration = Duration::from_secs(15);

/// Loads the source's playlists and its newest segment.
pub(crate) async fn source(
    client: &Client,
    source: &SourceSpec,
    user_agent: &str,
) -> anyhow::Result<Found> {
    let probe = Probe {
        client,
        source,
        user_agent,
        scope: client.scope_of(&source.url).await?,
        manners: client.manners(),
    };
    let request = probe.request(&source.url)?;
    let mut opened = client.open_either(&request).await?;
    if live::kind(&mut opened).await? == SourceKind::Stream {
        return probe_stream(opened.endless(request.timeouts.idle)?).await;
    }
    let response = opened.document(request.body_max).await?;
    let (playlist, url) = parse(response, &Variables::default())?;
    match playlist {
        Playlist::Media(media) => {
            let found = probe.media(&media, &url).await?;
            Ok(Found {
                what: format!("live playlist, {}", found.what),
                ..found
            })
        }
        Playlist::Multivariant(multi) => {
            let variant = &multi.variants[0];
            let (playlist, url) = probe
                .playlist(&url.join(&variant.uri)?, &multi.variables)
                .await?;
            let Playlist::Media(media) = playlist else {
                anyhow::bail!("variant is no media playlist")
            };
            let found = probe.media(&media, &url).await?;
            Ok(Found {
                what: format!("{} variants, {}", multi.variants.len(), found.what),
                ..found
            })
        }
    }
}

/// Reads a stream until a segment can be cut from it.
async fn probe_stream(mut stream: Streaming) -> anyhow::Result<Found> {
    let mut cutter = Cutter::new(Aim {
        target_s: None,
        hasty: false,
    });
    let first = async {
        loop {
            let Some(chunk) = stream.chunk().await? else {
                anyhow::bail!("MPEG-TS stream that ended before a segment could be cut")
            };
            if let Some(piece) = cutter.push(&chunk)?.into_iter().next() {
                return Ok(piece);
            }
        }
    };
    let piece = tokio::time::timeout(STREAM_PATIENCE, first).await;
    let piece = piece.with_context(|| {
        format!("MPEG-TS stream of which no segment came within {STREAM_PATIENCE:?}")
    })??;
    let unusable = piece.inspection.err();
    let blind = (!piece.independent).then(|| "no random-access point was found".to_owned());
    Ok(Found {
        what: format!("MPEG-TS stream, segments of {:.1?}", piece.duration),
        warning: unusable.or(blind),
    })
}

struct Probe<'a> {
    client: &'a Client,
    source: &'a SourceSpec,
    user_agent: &'a str,
    scope: fetch::Scope,
    manners: fetch::Manners,
}

impl Probe<'_> {
    fn request(&self, url: &Url) -> anyhow::Result<Request> {
        let headers = Headers::new(
            self.source
                .headers
                .iter()
                .map(|(name, value)| (name, value)),
        )?;
        let own = &self.source.user_agent;
        Ok(Request {
            headers: headers.between(&self.source.url, url),
            user_agent: if own.is_empty() {
                self.user_agent.to_owned()
            } else {
                own.clone()
            },
            ..Request::new(url.clone(), self.scope, self.manners.clone())
        })
    }

    async fn playlist(&self, url: &Url, imports: &Variables) -> anyhow::Result<(Playlist, Url)> {
        let response = self.client.get(&self.request(url)?).await?;
        parse(response, imports)
    }

    async fn media(&self, media: &Media, url: &Url) -> anyhow::Result<Found> {
        let Some(newest) = media.segments.iter().rfind(|segment| !segment.gap) else {
            anyhow::bail!("playlist has no segments")
        };
        let target = Duration::from_secs(media.target_duration_s);
        let request = Request {
            range: newest.byte_range,
            gzip: false,
            body_max: SEGMENT_MAX,
            ..self.request(&url.join(&newest.uri)?)?
        };
        let started = tokio::time::Instant::now();
        let body = self.client.get(&request).await?.body;
        let took = started.elapsed();
        let what = if newest.keys.is_empty() {
            let inspection = inspect(&body)?;
            format!(
                "{} segments of {target:?}",
                inspection.container.extension()
            )
        } else {
            format!("{} segments of {target:?}", newest.keys[0].method.as_str())
        };
        let slow = took > newest.duration;
        let warning = slow.then(|| {
            format!(
                "a segment of {:?} took {took:.1?}: slower than real time",
                newest.duration
            )
        });
        let longest = media
            .segments
            .iter()
            .map(|segment| segment.duration)
            .max()
            .unwrap_or_default();
        let lying = longest.as_secs_f64().round() > target.as_secs_f64();
        let lying = lying
            .then(|| format!("a segment of {longest:?} is longer than the target duration says"));
        let ended = media.ended.then(|| "the playlist has ended".to_owned());
        Ok(Found {
            what,
            warning: warning.or(lying).or(ended),
        })
    }
}

fn parse(response: Response, imports: &Variables) -> anyhow::Result<(Playlist, Url)> {
    let url = response.head.final_url;
    let playlist = Playlist::parse(&response.body, &url, imports, &Limits::default())?;
    Ok((playlist, url))
}
