//! A bucket of an S3-compatible store: signed with SigV4 in the URL, GET and HEAD apart, nothing else
//! signed than the host, so that no proxy and no SDK default can break it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use base::{ByteRange, Clock};
use fetch::{Client, Fault, Headers, Manners, Request, Response, Scope, Streaming, Timeouts};
use jiff::Timestamp;
use rusty_s3::actions::{GetObject, HeadObject, ListObjectsV2, S3Action};
use rusty_s3::{Credentials, UrlStyle};
use tokio::sync::OnceCell;
use url::Url;

use crate::library::{Listed, Meta};
use crate::traffic::Traffic;
use crate::{Error, S3Spec};

/// A bucket.
pub struct Bucket {
    library: String,
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    client: Client,
    /// Read when something is signed, and when an answer is here: what is handed on instead is old when
    /// a transfer is long.
    clock: Arc<dyn Clock>,
    manners: Manners,
    /// Known when the endpoint's name first resolves.
    scope: OnceCell<Scope>,
    /// How far the store's clock is ahead of ours.
    skew_ms: AtomicI64,
    traffic: Traffic,
}

/// What to presign.
#[derive(Clone, Copy, Debug)]
pub struct Presign<'a> {
    /// The object.
    pub key: &'a str,
    /// HEAD in place of GET.
    pub head: bool,
    /// `Content-Disposition` of the answer.
    pub disposition: Option<&'a str>,
    /// How long it is good, at most.
    pub ttl: Duration,
}

/// SigV4's limit.
pub(crate) const PRESIGN_MAX: Duration = Duration::from_secs(604_800);
/// Our own requests are sent at once.
const OWN_TTL: Duration = Duration::from_secs(120);
/// Signatures of a date that far off are refused (AWS: 15 minutes); ours follows the store's clock.
const SKEW_NOTED_MS: i64 = 2_000;
/// Amazon S3 API Reference, ListObjectsV2.
const LIST_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const LIST_BYTES_MAX: u64 = 4 << 20;
const ERROR_BYTES_MAX: u64 = 64 << 10;
const USER_AGENT: &str = concat!("perennial/", env!("CARGO_PKG_VERSION"));
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(4),
    first_byte: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: None,
};

impl Bucket {
    /// A bucket; nothing is asked of it yet. `client` is one of its own manners: a store is no small
    /// provider whose patience is short.
    ///
    /// # Errors
    /// The endpoint and the bucket's name make no URL.
    pub fn new(
        library: &str,
        spec: &S3Spec,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let endpoint = spec.endpoint.clone().map_or_else(
            || format!("https://s3.{}.amazonaws.com", spec.region).parse(),
            Ok,
        );
        let invalid = |reason: &str| Error::Unwell {
            library: library.to_owned(),
            key: "endpoint, region and bucket".to_owned(),
            reason: reason.to_owned(),
            passing: false,
        };
        let endpoint: Url = endpoint.map_err(|_| invalid("they make no url"))?;
        let style = if spec.path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let bucket =
            rusty_s3::Bucket::new(endpoint, style, spec.bucket.clone(), spec.region.clone())
                .map_err(|_| invalid("they make no url; try path_style = true"))?;
        let (key, secret) = (
            spec.access_key_id.expose().as_str(),
            spec.secret_access_key.expose().as_str(),
        );
        let credentials = match &spec.session_token {
            Some(token) => Credentials::new_with_token(key, secret, token.expose().as_str()),
            None => Credentials::new(key, secret),
        };
        Ok(Self {
            library: library.to_owned(),
            bucket,
            credentials,
            manners: client.manners(),
            client,
            clock,
            scope: OnceCell::new(),
            skew_ms: AtomicI64::new(0),
            traffic: Traffic::default(),
        })
    }

    /// A URL that whoever has it may fetch until `ttl` is over, counted from now.
    pub fn presign(&self, what: Presign<'_>) -> Url {
        self.sign(what, self.moment())
    }

    /// As [`Bucket::presign`], but the date in it moves in steps of half of `ttl`, so that for so long the
    /// same object has the same URL and browsers find it in their caches; it is good for no less than the
    /// other half.
    pub fn presign_steady(&self, what: Presign<'_>) -> Url {
        let at = Timestamp::from_second(self.dated_s(what.ttl));
        self.sign(what, at.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    fn sign(&self, what: Presign<'_>, at: Timestamp) -> Url {
        let ttl = lifetime(what.ttl);
        if what.head {
            return HeadObject::new(&self.bucket, Some(&self.credentials), what.key)
                .sign_with_time(ttl, &at);
        }
        let mut action = GetObject::new(&self.bucket, Some(&self.credentials), what.key);
        if let Some(disposition) = what.disposition {
            action
                .query_mut()
                .insert("response-content-disposition", disposition.to_owned());
        }
        action.sign_with_time(ttl, &at)
    }

    /// The date that a steady URL of `ttl` gets now, in seconds since the Unix epoch by the store's clock.
    pub(crate) fn dated_s(&self, ttl: Duration) -> i64 {
        let step_s = i64::try_from(lifetime(ttl).as_secs() / 2)
            .unwrap_or(i64::MAX)
            .max(1);
        let now_s = self.store_ms().div_euclid(1000);
        now_s - now_s.rem_euclid(step_s)
    }

    /// How far the store's clock is ahead of ours, as its last answer said.
    pub fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// The URL of an object without a signature, which a private bucket refuses.
    pub fn unsigned(&self, key: &str) -> Url {
        GetObject::new(&self.bucket, None, key).sign(OWN_TTL)
    }

    /// A whole object of at most `max` bytes.
    ///
    /// # Errors
    /// It is absent or longer, or the store is unwell.
    pub async fn get(&self, key: &str, max: u64) -> Result<(Meta, bytes::Bytes), Error> {
        let url = || self.presign_own(key, false);
        let response = self.fetch(key, max, url).await?;
        // What the store says of an error may be longer than the object may be.
        if response.body.len() as u64 > max {
            return Err(self.too_long(key, max));
        }
        let meta = Meta::of(&response.head, response.body.len() as u64);
        Ok((meta, response.body))
    }

    /// Opens an object, or `range` of it, of the ETag `etag` if one is given.
    ///
    /// # Errors
    /// It is absent or another by now, or the store is unwell.
    pub async fn open(
        &self,
        key: &str,
        range: Option<ByteRange>,
        etag: Option<&str>,
    ) -> Result<Streaming, Error> {
        for again in [true, false] {
            let url = self.presign_own(key, false);
            let mut request = self.request(url, u64::MAX).await?;
            request.range = range;
            if let Some(etag) = etag {
                request.headers = Headers::new([("if-match", etag)])
                    .map_err(|error| self.unwell(key, error.to_string(), false))?;
            }
            let streaming = self.client.open(&request).await;
            let streaming = streaming.map_err(|error| self.failed(key, &error))?;
            match self.judge(key, &streaming.head) {
                Ok(()) => return Ok(streaming),
                Err(Verdict::Moved(_)) if again => {}
                Err(Verdict::Moved(error) | Verdict::Same(error)) => return Err(error),
            }
        }
        Err(self.unwell(key, "its clock does not stand still".to_owned(), true))
    }

    /// What an object is, without its bytes.
    ///
    /// # Errors
    /// It is absent, or the store is unwell.
    pub async fn head(&self, key: &str) -> Result<Meta, Error> {
        for again in [true, false] {
            let url = self.presign_own(key, true);
            let request = Request {
                head: true,
                ..self.request(url, u64::MAX).await?
            };
            let streaming = self.client.open(&request).await;
            let head = streaming.map_err(|error| self.failed(key, &error))?.head;
            match self.judge(key, &head) {
                Ok(()) => {
                    // Of a HEAD the body's length is not the object's.
                    let length = head.headers.get(http::header::CONTENT_LENGTH);
                    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                    let length = length.ok_or_else(|| {
                        self.unwell(key, "no content-length to a HEAD".to_owned(), false)
                    })?;
                    return Ok(Meta::of(&head, length));
                }
                Err(Verdict::Moved(_)) if again => {}
                Err(Verdict::Moved(error) | Verdict::Same(error)) => return Err(error),
            }
        }
        Err(self.unwell(key, "its clock does not stand still".to_owned(), true))
    }

    /// A page of keys below `prefix`, and what the next page begins with.
    ///
    /// # Errors
    /// The store is unwell, or the credentials may not list.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>), Error> {
        let url = || {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            if !prefix.is_empty() {
                action.with_prefix(prefix);
            }
            if let Some(after) = after.clone() {
                action.with_continuation_token(after);
            }
            action.sign_with_time(OWN_TTL, &self.moment())
        };
        let response = self.fetch(prefix, LIST_BYTES_MAX, url).await?;
        let text = std::str::from_utf8(&response.body).ok();
        let page =
            text.and_then(|text| ListObjectsV2::parse_response(&in_s3s_namespace(text)).ok());
        let page =
            page.ok_or_else(|| self.unwell(prefix, "its list is no list".to_owned(), false))?;
        let listed = page.contents.into_iter().map(|object| Listed {
            key: object.key,
            length: object.size.unwrap_or(0),
        });
        Ok((listed.collect(), page.next_continuation_token))
    }

    /// Any answer to any URL, for finding out how the store is set up.
    ///
    /// # Errors
    /// No answer came.
    pub async fn ask(
        &self,
        url: Url,
        head: bool,
        headers: Headers,
        range: Option<ByteRange>,
    ) -> Result<fetch::Head, Error> {
        let request = Request {
            head,
            headers,
            range,
            ..self.request(url, u64::MAX).await?
        };
        let streaming = self.client.open(&request).await;
        let head = streaming.map_err(|error| self.failed("", &error))?.head;
        Ok(head)
    }

    /// Now by the store's clock, in milliseconds since the Unix epoch.
    fn store_ms(&self) -> i64 {
        self.clock.unix_ms() + self.skew_ms()
    }

    fn moment(&self) -> Timestamp {
        Timestamp::from_millisecond(self.store_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn presign_own(&self, key: &str, head: bool) -> Url {
        self.presign(Presign {
            key,
            head,
            disposition: None,
            ttl: OWN_TTL,
        })
    }

    /// A body; asked for once more where the store's clock turned out to be another.
    async fn fetch(&self, key: &str, max: u64, url: impl Fn() -> Url) -> Result<Response, Error> {
        for again in [true, false] {
            let request = self.request(url(), max.max(ERROR_BYTES_MAX)).await?;
            let response = self.client.get(&request).await;
            let response = response.map_err(|error| self.failed(key, &error))?;
            self.traffic.received(response.body.len());
            match self.judge(key, &response.head) {
                Ok(()) => return Ok(response),
                Err(Verdict::Moved(_)) if again => {}
                Err(Verdict::Moved(error) | Verdict::Same(error)) => return Err(error),
            }
        }
        Err(self.unwell(key, "its clock does not stand still".to_owned(), true))
    }

    /// What it was asked so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    async fn request(&self, url: Url, body_max: u64) -> Result<Request, Error> {
        self.traffic.asked();
        let scope = self.scope.get_or_try_init(|| self.client.scope_of(&url));
        let scope = *scope.await.map_err(|error| self.failed("", &error))?;
        Ok(Request {
            user_agent: USER_AGENT.to_owned(),
            any_status: true,
            gzip: false,
            body_max,
            timeouts: TIMEOUTS,
            ..Request::new(url, scope, self.manners.clone())
        })
    }

    /// Reads the clock from an answer, and its status.
    fn judge(&self, key: &str, head: &fetch::Head) -> Result<(), Verdict> {
        let before = self.skew_ms();
        self.note_clock(head);
        let moved = (self.skew_ms() - before).abs() > SKEW_NOTED_MS;
        let error = match head.status {
            200..=299 => return Ok(()),
            404 | 410 => Error::Missing {
                library: self.library.clone(),
                key: key.to_owned(),
            },
            412 => self.unwell(key, "it was replaced while it was read".to_owned(), true),
            401 | 403 => Error::Refused {
                library: self.library.clone(),
                key: key.to_owned(),
                status: head.status,
                skew_s: self.skew_ms() / 1000,
            },
            status @ (429 | 500..=599) => self.unwell(key, format!("status {status}"), true),
            status => self.unwell(key, format!("status {status}"), false),
        };
        if !matches!(error, Error::Missing { .. }) {
            self.traffic.failed();
        }
        // A store refuses dates that are far off with 403, and says what its own clock has.
        let by_clock = moved && matches!(error, Error::Refused { .. });
        Err(if by_clock {
            Verdict::Moved(error)
        } else {
            Verdict::Same(error)
        })
    }

    fn note_clock(&self, head: &fetch::Head) {
        let date = head.headers.get(http::header::DATE);
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(since) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else {
            return;
        };
        // `Date` has whole seconds, so that anything below two is no difference.
        let skew = i64::try_from(since.as_millis()).unwrap_or(0) - self.clock.unix_ms();
        let skew = if skew.abs() <= SKEW_NOTED_MS { 0 } else { skew };
        let before = self.skew_ms.swap(skew, Ordering::Relaxed);
        if (skew - before).abs() > 60_000 {
            tracing::warn!(
                library = self.library,
                skew_s = skew / 1000,
                "the store's clock is not ours"
            );
        }
    }

    fn failed(&self, key: &str, error: &fetch::Error) -> Error {
        if let Fault::TooLarge { limit } = error.fault {
            return self.too_long(key, limit);
        }
        self.traffic.failed();
        let passing = error.kind().is_retryable();
        // Not `error` itself: it names host and bucket, and the key once more.
        self.unwell(key, error.fault.to_string(), passing)
    }

    fn too_long(&self, key: &str, max: u64) -> Error {
        Error::TooLong {
            library: self.library.clone(),
            key: key.to_owned(),
            max,
        }
    }

    fn unwell(&self, key: &str, reason: String, passing: bool) -> Error {
        Error::Unwell {
            library: self.library.clone(),
            key: key.to_owned(),
            reason,
            passing,
        }
    }
}

/// A list whose root is in the namespace of S3, as the parser wants it: some stores have it in none, or
/// in one of their own. No attribute of the root says anything else.
fn in_s3s_namespace(list: &str) -> Cow<'_, str> {
    const ROOT: &str = "<ListBucketResult";
    let parts = list.split_once(ROOT).and_then(|(before, rest)| {
        let (attributes, rest) = rest.split_once('>')?;
        let is_root = attributes.is_empty() || attributes.starts_with([' ', '\t', '\r', '\n', '/']);
        let close = if attributes.ends_with('/') { "/" } else { "" };
        is_root.then_some((before, close, rest))
    });
    match parts {
        Some((before, close, rest)) => {
            format!("{before}{ROOT} xmlns=\"{LIST_NAMESPACE}\"{close}>{rest}").into()
        }
        None => list.into(),
    }
}

fn lifetime(ttl: Duration) -> Duration {
    ttl.clamp(Duration::from_secs(1), PRESIGN_MAX)
}

/// Whether an answer taught us another clock, so that signing again may help.
enum Verdict {
    Moved(Error),
    Same(Error),
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(root: &str, keys: &[&str]) {
        let contents: String = keys
            .iter()
            .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
            .collect();
        let list = format!(
            "<?xml version=\"1.0\"?>\n{root}<Name>b</Name>{contents}<IsTruncated>false</IsTruncated></ListBucketResult>"
        );
        let page = ListObjectsV2::parse_response(&in_s3s_namespace(&list)).unwrap();
        let found: Vec<_> = page.contents.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(found, keys, "{root}");
    }

    #[test]
    fn a_list_may_be_in_any_namespace_or_none() {
        for root in [
            "<ListBucketResult>",
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
            "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01'>",
            "<ListBucketResult\n  xmlns=\"http://store.example/\" xmlns:xsi=\"x\">",
        ] {
            check(root, &["a/b.mp4", "c"]);
        }
        let empty = "<ListBucketResult xmlns=\"x\"/>";
        assert!(ListObjectsV2::parse_response(&in_s3s_namespace(empty)).is_ok());
        for other in ["<ListBucketResults>", "<html>", "", "<ListBucketResult"] {
            assert_eq!(in_s3s_namespace(other), other);
            assert!(ListObjectsV2::parse_response(other).is_err(), "{other}");
        }
    }
}
