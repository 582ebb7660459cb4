//! `perennial check` of libraries: is the bucket private, do presigned requests work, may a browser read
//! what a redirect leads to, how far is the clock? One line for each, with the cure.

use std::sync::Arc;
use std::time::Duration;

use base::ByteRange;
use fetch::Headers;
use live::SystemClock;
use store::{Location, Store};
use vod::{Bucket, Library, Presign, Segments, Vod};

use crate::app;
use crate::config::Config;
use crate::log;

/// What one question came to.
struct Line {
    failed: bool,
    text: String,
}

const TTL: Duration = Duration::from_secs(60);
const CLOCK_OFF_MS: i64 = 60_000;
const LONG_FILM: Duration = Duration::from_secs(4 * 60 * 60);

/// Asks every library; how many answers were bad.
pub(crate) async fn all(config: &Config) -> anyhow::Result<usize> {
    let client = app::library_client(Vec::new())?;
    let clock = Arc::new(SystemClock::new());
    let mut failed = 0;
    for spec in app::library_specs(config) {
        let id = spec.id.clone();
        let library = match Library::new(spec, client.clone(), clock.clone()) {
            Ok(library) => library,
            Err(error) => {
                failed += 1;
                log::say(&format!("FAIL  library {id}: {error}\n"));
                continue;
            }
        };
        let origin = config.server.public_url.as_ref();
        let origin = origin.map(|url| url.origin().ascii_serialization());
        for line in ask(&library, origin.as_deref()).await {
            failed += usize::from(line.failed);
            let mark = if line.failed { "FAIL " } else { "ok   " };
            log::say(&format!("{mark} library {}: {}\n", library.id(), line.text));
        }
    }
    Ok(failed)
}

/// Whether the assets that channels show as their slates can be shown; how many cannot. Slates that are
/// files were read with the configuration.
pub(crate) async fn slates(config: &Config) -> anyhow::Result<usize> {
    let slates = config.channels.iter().filter(|channel| {
        let slate = &channel.slate;
        !slate.is_empty() && !live::slate::is_file(slate)
    });
    let slates: Vec<_> = slates.collect();
    if slates.is_empty() {
        return Ok(0);
    }
    let location = Location::Directory(config.server.data_dir.clone());
    let store = Store::join(&location).await.map_err(app::with_hint)?;
    let client = app::library_client(Vec::new())?;
    let clock = Arc::new(SystemClock::new());
    let vod = Vod::new(client.clone(), store.clone(), clock.clone());
    let mut specs = app::library_specs(config);
    // What makes no library was told before.
    specs.retain(|spec| Library::new(spec.clone(), client.clone(), clock.clone()).is_ok());
    vod.apply(specs)?;
    let mut failed = 0;
    for channel in slates {
        match live::slate::load(&channel.slate, &vod).await {
            Ok(_) => log::say(&format!("ok    {} slate {}\n", channel.id, channel.slate)),
            Err(error) => {
                failed += 1;
                log::say(&format!("FAIL  {}: {error}\n", channel.id));
            }
        }
    }
    store.close().await.map_err(app::with_hint)?;
    Ok(failed)
}

async fn ask(library: &Library, origin: Option<&str>) -> Vec<Line> {
    if let Some(fault) = library.fault() {
        return vec![bad(format!("{fault}; make the directory, or correct path"))];
    }
    let (page, _) = match library.list("", None).await {
        Ok(listed) => listed,
        Err(error) => {
            let cure = "check endpoint, region, bucket, path_style and the key's right to list";
            return vec![bad(format!("it cannot be listed: {error}; {cure}"))];
        }
    };
    let mut lines = vec![good(format!(
        "can be read, {} objects on its first page",
        page.len()
    ))];
    let Some(bucket) = library.bucket() else {
        return lines;
    };
    let Some(object) = page.iter().find(|object| object.length > 0) else {
        lines.push(good("is empty: nothing to try signatures on".to_owned()));
        return lines;
    };
    let probe = Probe {
        bucket,
        key: &object.key,
        length: object.length,
    };
    lines.push(probe.is_private().await);
    lines.push(probe.signs("GET", false, None).await);
    lines.push(probe.signs("HEAD", true, None).await);
    lines.push(
        probe
            .signs("Range", false, Some(ByteRange { start: 0, end: 1 }))
            .await,
    );
    if library.segments() == Segments::Presign {
        lines.push(long_enough(library.spec.presign_ttl));
    }
    if library.segments() != Segments::Tunnel {
        lines.push(probe.may_be_read(origin).await);
    }
    lines.push(probe.clock());
    lines
}

struct Probe<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    length: u64,
}

impl Probe<'_> {
    async fn is_private(&self) -> Line {
        let url = self.bucket.unsigned(self.key);
        // As somebody would who wants the bytes: a policy may open GET and leave HEAD closed.
        let byte = Some(ByteRange { start: 0, end: 1 });
        match self.bucket.ask(url, false, Headers::default(), byte).await {
            Ok(head) if matches!(head.status, 401 | 403) => {
                good(format!("private: an unsigned request gets {}", head.status))
            }
            Ok(head) => bad(format!(
                "NOT private: an unsigned request gets {}; remove public-read ACLs and policies from the bucket",
                head.status
            )),
            Err(error) => bad(format!("an unsigned request gets no answer: {error}")),
        }
    }

    async fn signs(&self, name: &str, head: bool, range: Option<ByteRange>) -> Line {
        let presign = Presign {
            key: self.key,
            head,
            disposition: None,
            ttl: TTL,
        };
        let url = self.bucket.presign(presign);
        let wanted = if range.is_some() { 206 } else { 200 };
        match self.bucket.ask(url, head, Headers::default(), range).await {
            Ok(answer) if answer.status == wanted => good(format!("a presigned {name} works")),
            Ok(answer) => bad(format!(
                "a presigned {name} gets {} rather than {wanted}; check region and keys, and that no proxy changes Host or turns HEAD into GET",
                answer.status
            )),
            Err(error) => bad(format!(
                "a presigned {name} of {} bytes gets no answer: {error}",
                self.length
            )),
        }
    }

    /// A page on the gateway's own origin sends it to the store; after a redirect from a third origin
    /// browsers send `null`, which only `*` allows.
    async fn may_be_read(&self, origin: Option<&str>) -> Line {
        let mut allowed = Vec::new();
        for origin in [origin.unwrap_or("https://page.example"), "null"] {
            let presign = Presign {
                key: self.key,
                head: false,
                disposition: None,
                ttl: TTL,
            };
            let url = self.bucket.presign(presign);
            let Ok(headers) = Headers::new([("origin", origin)]) else {
                return bad(format!("{origin} is no origin"));
            };
            let answer = self
                .bucket
                .ask(url, false, headers, Some(ByteRange { start: 0, end: 1 }))
                .await;
            let value = answer.ok().and_then(|head| {
                let value = head
                    .headers
                    .get(http::header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
                Some(value.to_str().ok()?.to_owned())
            });
            allowed.push(value.is_some_and(|value| value == "*" || value == origin));
        }
        let cure = "allow GET and HEAD from * with the headers Range and ETag exposed, or set segments = \"tunnel\"";
        match allowed[..] {
            [true, true] => good("browsers may read it from every page (CORS)".to_owned()),
            [true, false] => good(format!(
                "browsers may read it from pages of the gateway (CORS), not from other sites' players: for those {cure}"
            )),
            _ => bad(format!("browsers may not read it (CORS): {cure}")),
        }
    }

    fn clock(&self) -> Line {
        let skew_ms = self.bucket.skew_ms();
        let seconds = skew_ms / 1000;
        if skew_ms.abs() < CLOCK_OFF_MS {
            good(format!("its clock is {seconds} s ahead of this machine's"))
        } else {
            bad(format!(
                "its clock is {seconds} s ahead of this machine's: signatures follow it, grants do not; set this machine's clock by NTP"
            ))
        }
    }
}

/// A film's playlist is read once: its URLs must outlive the film, and the pauses in it.
fn long_enough(ttl: Duration) -> Line {
    let text = format!("URLs in playlists are good for {} s", ttl.as_secs());
    if ttl >= LONG_FILM {
        good(text)
    } else {
        bad(format!(
            "{text}, and a film that is longer stops: set presign_ttl_s = 43200 or segments = \"redirect\""
        ))
    }
}

fn good(text: String) -> Line {
    Line {
        failed: false,
        text,
    }
}

fn bad(text: String) -> Line {
    Line { failed: true, text }
}
