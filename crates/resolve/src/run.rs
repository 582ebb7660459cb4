//! One run of a resolver: its result, or why there is none.

mod exec;

use std::time::Duration;

use base::ErrorKind;
use fetch::{Client, Fault, Headers, Request, Scope, Timeouts};
use url::Url;

use crate::document::{self, Answer, Code, Format, OUTPUT_BYTES_MAX, Refusal};
use crate::spec::{Origin, ResolverSpec};

/// From the beginning of a run to its end.
pub(crate) const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks a resolver, at the time `now_ms`.
///
/// # Errors
/// What the resolver said, or what kept it from saying anything.
pub async fn run(spec: &ResolverSpec, client: &Client, now_ms: i64) -> Result<Answer, Refusal> {
    match &spec.origin {
        Origin::Static(entries) => Ok(Answer::of(entries.iter().cloned().map(Ok))),
        Origin::Http {
            url,
            headers,
            format,
        } => http(client, url, headers, *format, now_ms).await,
        Origin::Exec { argv, format } => {
            let output = exec::run(argv).await?;
            output.read(*format, now_ms)
        }
    }
}

/// How far inward a link may lead: as far as its own host lies, but never further than the resolver
/// that returned it (`voucher`; `None` for those whose word is the operator's own).
///
/// # Errors
/// A host that has no address, or only such as no request may reach.
pub async fn scope_of(
    client: &Client,
    link: &Url,
    voucher: Option<&Url>,
) -> Result<Scope, fetch::Error> {
    let own = client.scope_of(link).await?;
    match voucher {
        None => Ok(own),
        Some(voucher) => Ok(own.min(client.scope_of(voucher).await?)),
    }
}

async fn http(
    client: &Client,
    url: &Url,
    headers: &[(String, String)],
    format: Format,
    now_ms: i64,
) -> Result<Answer, Refusal> {
    let get = async {
        let scope = client.scope_of(url).await?;
        let pairs = headers.iter().map(|(name, value)| (name, value));
        let request = Request {
            headers: Headers::new(pairs).unwrap_or_default(),
            user_agent: concat!("Perennial/", env!("CARGO_PKG_VERSION")).to_owned(),
            body_max: OUTPUT_BYTES_MAX as u64,
            timeouts: Timeouts {
                first_byte: RUN_TIMEOUT,
                total: Some(RUN_TIMEOUT),
                ..Timeouts::default()
            },
            ..Request::new(url.clone(), scope, client.manners())
        };
        client.get(&request).await
    };
    let response = tokio::time::timeout(RUN_TIMEOUT, get).await;
    let late = |_| Refusal::transient(format!("no answer within {RUN_TIMEOUT:?}"));
    let response = response.map_err(late)?.map_err(|error| refusal(&error))?;
    document::read(format, &response.body, now_ms)
}

fn refusal(error: &fetch::Error) -> Refusal {
    let (code, retry_after) = match &error.fault {
        Fault::Status {
            code: 401 | 403, ..
        } => (Code::Auth, None),
        Fault::Status { code: 451, .. } => (Code::Geo, None),
        Fault::Status { code: 410, .. } => (Code::Gone, None),
        Fault::Status { retry_after, .. } if error.kind() == ErrorKind::RateLimited => {
            (Code::RateLimited, *retry_after)
        }
        Fault::Status { retry_after, .. } => (Code::Transient, *retry_after),
        _ => (Code::Transient, None),
    };
    Refusal {
        retry_after,
        ..Refusal::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests;
