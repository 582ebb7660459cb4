//! What is sent with a submission: fields of a query, of an urlencoded form or of a multipart one
//! (RFC 7578), and one file.

use std::time::Duration;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;
use url::form_urlencoded;

/// Fields and perhaps a file. Of fields of the same name the body's go before the query's.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    pub(crate) file: Option<Upload>,
}

/// A file that was sent.
#[derive(Debug)]
pub(crate) struct Upload {
    /// As its sender calls it.
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadForm {
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come in time")]
    Late,
    #[error("{0}")]
    Broken(String),
}

/// A form that broke off.
#[derive(Debug)]
pub(crate) struct Unread {
    /// What came before the break: a key may be among it.
    pub(crate) form: Form,
    pub(crate) error: BadForm,
}

/// Of all fields that are text.
const FIELDS_BYTES_MAX: usize = 256 << 10;
const FIELDS_MAX: usize = 100;
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// What clients call the file where they give it no name.
const FILE_FIELDS: [&str; 2] = ["file", "nzbfile"];

impl Form {
    /// The fields of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Self {
        let mut form = Self::default();
        form.add_encoded(query.unwrap_or_default().as_bytes());
        form
    }

    /// All that a request sends, `bytes_max` at most.
    ///
    /// # Errors
    /// A body that is too long, too slow, or not what it says.
    pub(crate) async fn read(
        request: Request,
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Self, Unread> {
        let query = Self::of_query(request.uri().query());
        let mut form = Self::default();
        let filled = tokio::time::timeout_at(deadline, form.fill(request, bytes_max)).await;
        form.fields.extend(query.fields);
        match filled.unwrap_or(Err(BadForm::Late)) {
            Ok(()) => Ok(form),
            Err(error) => Err(Unread { form, error }),
        }
    }

    async fn fill(&mut self, mut request: Request, bytes_max: usize) -> Result<(), BadForm> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("multipart/form-data") {
            DefaultBodyLimit::max(bytes_max).apply(&mut request);
            let multipart = Multipart::from_request(request, &()).await;
            let mut multipart =
                multipart.map_err(|rejection| BadForm::Broken(rejection.body_text()))?;
            self.fill_parts(&mut multipart, bytes_max).await?;
        } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            DefaultBodyLimit::max(FIELDS_BYTES_MAX).apply(&mut request);
            let body = tokio::time::timeout(CHUNK_TIMEOUT, Bytes::from_request(request, &()));
            let body = body.await.map_err(|_| BadForm::Late)?;
            let body = body.map_err(|_| BadForm::TooLarge(FIELDS_BYTES_MAX))?;
            self.add_encoded(&body);
        }
        Ok(())
    }

    /// The value of a field, whatever the case of its name; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .find(|(_, value)| !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that is a number.
    ///
    /// # Errors
    /// It is there and is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.get(name).map_or(Ok(None), |text| {
            let number = text.trim().parse().map(Some);
            number.map_err(|_| format!("{name} must be a number"))
        })
    }

    fn add_encoded(&mut self, text: &[u8]) {
        let pairs = form_urlencoded::parse(text).take(FIELDS_MAX);
        self.fields
            .extend(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())));
    }

    async fn fill_parts(
        &mut self,
        multipart: &mut Multipart,
        bytes_max: usize,
    ) -> Result<(), BadForm> {
        let broken = |error: MultipartError| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => BadForm::TooLarge(bytes_max),
            _ => BadForm::Broken(error.body_text()),
        };
        let mut text_bytes = 0;
        loop {
            let next = tokio::time::timeout(CHUNK_TIMEOUT, multipart.next_field()).await;
            let Some(mut field) = next.map_err(|_| BadForm::Late)?.map_err(broken)? else {
                return Ok(());
            };
            let name = field.name().unwrap_or_default().to_owned();
            let is_file = FILE_FIELDS
                .iter()
                .any(|file| name.eq_ignore_ascii_case(file));
            let file_name = field.file_name().map(str::to_owned);
            if file_name.is_some() || is_file {
                let bytes = whole(&mut field, bytes_max).await?.map_err(broken)?;
                let name = file_name.unwrap_or_default();
                self.file.get_or_insert(Upload { name, bytes });
                continue;
            }
            let room = FIELDS_BYTES_MAX - text_bytes;
            let bytes = whole(&mut field, room).await?.map_err(broken)?;
            text_bytes += bytes.len();
            if self.fields.len() == FIELDS_MAX {
                return Err(BadForm::Broken(format!("more than {FIELDS_MAX} fields")));
            }
            let value = String::from_utf8_lossy(&bytes).into_owned();
            self.fields.push((name, value));
        }
    }
}

async fn whole(
    field: &mut Field<'_>,
    bytes_max: usize,
) -> Result<Result<Bytes, MultipartError>, BadForm> {
    let mut whole = BytesMut::new();
    loop {
        let chunk = tokio::time::timeout(CHUNK_TIMEOUT, field.chunk()).await;
        match chunk.map_err(|_| BadForm::Late)? {
            Ok(Some(chunk)) if whole.len() + chunk.len() > bytes_max => {
                return Err(BadForm::TooLarge(bytes_max));
            }
            Ok(Some(chunk)) => whole.extend_from_slice(&chunk),
            Ok(None) => return Ok(Ok(whole.freeze())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(kind: &str, body: &str) -> Result<Form, BadForm> {
        let request = http::Request::post("/?category=query&season=2")
            .header(CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()));
        let read = Form::read(request.unwrap(), 1000, Instant::now() + CHUNK_TIMEOUT);
        read.await.map_err(|unread| unread.error)
    }

    #[tokio::test]
    async fn fields_come_from_the_body_and_then_from_the_query() {
        let encoded = "application/x-www-form-urlencoded";
        let form = read(encoded, "Category=body&name=a+b%26c&season=").await;
        let form = form.unwrap();
        assert_eq!(form.get("category"), Some("body"));
        assert_eq!(form.get("name"), Some("a b&c"));
        assert_eq!(form.number("season"), Ok(Some(2)));
        assert_eq!(form.get("absent"), None);
        assert_eq!(
            form.number::<u32>("name"),
            Err("name must be a number".to_owned())
        );
    }

    #[tokio::test]
    async fn a_multipart_form_has_one_file_under_any_name() {
        let kind = "multipart/form-data; boundary=x";
        let body = |field: &str, value: &str| {
            format!(
                "--x\r\nContent-Disposition: form-data; {field}\r\n\r\n{value}\r\n--x\r\n\
                 Content-Disposition: form-data; name=\"cat\"\r\n\r\ntv\r\n--x--\r\n"
            )
        };
        for field in ["name=\"NZBFile\"; filename=\"a.nzb\"", "name=\"file\""] {
            let form = read(kind, &body(field, "<nzb/>")).await.unwrap();
            assert_eq!(&form.file.as_ref().unwrap().bytes[..], b"<nzb/>");
            assert_eq!(form.get("cat"), Some("tv"));
        }
        let long = body("name=\"file\"", &"x".repeat(1001));
        assert!(matches!(
            read(kind, &long).await,
            Err(BadForm::TooLarge(1000))
        ));
        for broken in [
            "",
            "--x\r\n",
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb",
        ] {
            assert!(
                matches!(read(kind, broken).await, Err(BadForm::Broken(_))),
                "{broken}"
            );
        }
    }
}
