//! An NZB at a URL that a client names, fetched through the address guard: public addresses, and of
//! private ones those that the operator allows.

use std::time::Duration;

use bytes::Bytes;
use fetch::{Error, Fault, Request, Scope};
use http::HeaderMap;
use http::header::CONTENT_DISPOSITION;
use tokio::sync::SemaphorePermit;
use url::Url;

use super::{UsenetFace, newznab};

/// A document and what its indexer calls it.
#[derive(Debug)]
pub(crate) struct Fetched<'a> {
    pub(crate) nzb: Bytes,
    /// To be held as long as the document.
    pub(crate) room: SemaphorePermit<'a>,
    /// Empty where it says nothing.
    pub(crate) name: String,
}

/// Why it could not be fetched; without secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFetched {
    /// The client's fault.
    #[error("nzb_url: {0}")]
    Url(String),
    /// The indexer says no, or something that is no NZB.
    #[error("{0}")]
    Refused(String),
    /// It has enough of us for now.
    #[error("{0}")]
    Busy(String, Duration),
    /// It does not answer in time.
    #[error("{0}")]
    Late(String),
}

const TOTAL: Duration = Duration::from_secs(30);
const NZB_BYTES_MAX: u64 = 100 << 20;
/// After which a busy indexer is asked again, where it does not say.
const BUSY: Duration = Duration::from_secs(60);
const NAME_CHARS_MAX: usize = 255;

/// Who named a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    ByClient,
    /// One that the operator configured; its own host is as good as its API.
    ByIndexer,
}

/// Fetches `text`, which must be an http or https URL.
///
/// # Errors
/// What keeps it from being fetched, for the client.
pub(crate) async fn fetch<'a>(
    face: &'a UsenetFace,
    text: &str,
    named: Named,
) -> Result<Fetched<'a>, NotFetched> {
    let (client, settings) = (&face.client, &face.settings);
    let url: Url = text
        .trim()
        .parse()
        .map_err(|error| NotFetched::Url(format!("{error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NotFetched::Url("only http and https are fetched".into()));
    }
    let is_own = named == Named::ByIndexer && settings.is_indexers(&url);
    // Allowed networks the client knows itself, and judges wherever it connects to.
    let scope = if is_own || settings.allows_name(&url) {
        client.scope_of(&url).await?
    } else {
        Scope::Public
    };
    let mut request = Request {
        user_agent: newznab::USER_AGENT.to_owned(),
        any_status: true,
        body_max: NZB_BYTES_MAX,
        ..Request::new(url.clone(), scope, face.manners.clone())
    };
    request.timeouts.total = Some(TOTAL);
    request.timeouts.first_byte = TOTAL;
    request.timeouts.idle = TOTAL;
    let room = tokio::time::timeout(TOTAL, face.fetches.acquire()).await;
    let busy = |_| NotFetched::Busy("too many nzbs are being fetched".to_owned(), BUSY);
    let room = room.map_err(busy)?.expect("the semaphore is never closed");
    let response = client.get(&request).await?;
    let said = newznab::error(&response.body);
    let (status, headers) = (response.head.status, &response.head.headers);
    if !(200..300).contains(&status) || said.is_some() {
        let host = url.host_str().unwrap_or_default();
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let text = format!("the indexer {host} answered {status}{said}");
        return Err(match status {
            429 | 503 => NotFetched::Busy(text, retry_after(headers)),
            _ => NotFetched::Refused(text),
        });
    }
    Ok(Fetched {
        name: name(headers, &url),
        nzb: response.body,
        room,
    })
}

impl From<Error> for NotFetched {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.fault {
            Fault::Refused { .. } => Self::Url(format!(
                "{text}; usenet.nzb_url_allow names private hosts that may be asked"
            )),
            Fault::Url(_) | Fault::Own(_) => Self::Url(text),
            Fault::Timeout { .. } | Fault::Slow { .. } => Self::Late(text),
            Fault::Crowded => Self::Busy(text, BUSY),
            _ => Self::Refused(text),
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let value = headers.get(http::header::RETRY_AFTER);
    let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(BUSY, Duration::from_secs)
}

/// `X-DNZB-Name`, else the file's name (RFC 6266), else the last part of the path if that names an NZB.
fn name(headers: &HeaderMap, url: &Url) -> String {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let named = text("x-dnzb-name");
    let named = named.or_else(|| file_name(&text(CONTENT_DISPOSITION.as_str())?));
    let named = named.or_else(|| {
        let last = url.path_segments()?.next_back()?;
        let is_nzb = last.ends_with(".nzb") || last.ends_with(".nzb.gz");
        is_nzb.then(|| decode(last))
    });
    named
        .unwrap_or_default()
        .chars()
        .take(NAME_CHARS_MAX)
        .collect()
}

fn file_name(disposition: &str) -> Option<String> {
    let parameters = disposition
        .split(';')
        .skip(1)
        .filter_map(|p| p.split_once('='));
    let find = |wanted: &str| {
        let mut found = parameters
            .clone()
            .filter(|(key, _)| key.trim().eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim())
    };
    if let Some((_, encoded)) = find("filename*").and_then(|value| value.split_once("''")) {
        return Some(decode(encoded));
    }
    let plain = find("filename")?.trim_matches('"');
    (!plain.is_empty()).then(|| plain.to_owned())
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], url: &str, expected: &str) {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        assert_eq!(name(&headers, &url.parse().unwrap()), expected, "{url}");
    }

    #[test]
    fn a_document_is_called_what_its_indexer_calls_it() {
        let disposition = "content-disposition";
        check(
            &[
                ("x-dnzb-name", "Film.2024"),
                (disposition, "attachment; filename=x.nzb"),
            ],
            "http://i/x",
            "Film.2024",
        );
        check(
            &[(disposition, "attachment; filename=\"a b.nzb\"")],
            "http://i/x",
            "a b.nzb",
        );
        check(
            &[(
                disposition,
                "attachment; filename=x; filename*=UTF-8''K%C3%B6ln.nzb",
            )],
            "http://i/x",
            "Köln.nzb",
        );
        check(
            &[],
            "http://i/get/Film%202024.nzb?apikey=1",
            "Film 2024.nzb",
        );
        check(&[], "http://i/api?t=get&id=1", "");
    }
}
