//! One request up to its final response's headers: guard, manners, redirects.

use std::time::Duration;

use base::ByteRange;
use http::Method;
use http::header::{self, HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::connect::CONNECT_LIMIT;
use crate::error::{Error, Fault, Phase};
use crate::guard::Guard;
use crate::headers::Headers;
use crate::manners::Turn;
use crate::redirect;
use crate::request::Request;
use crate::response::Validators;

/// What a request is made with.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) http: &'a reqwest::Client,
    pub(crate) guard: &'a Guard,
    pub(crate) request: &'a Request,
    pub(crate) validators: Option<&'a Validators>,
}

/// A response that is no redirect; its body is still to be read.
pub(crate) struct Arrived {
    pub(crate) response: reqwest::Response,
    pub(crate) turn: Turn,
    pub(crate) url: Url,
    pub(crate) redirects: usize,
    /// Time spent waiting for responses, over all hops, without turns.
    pub(crate) first_byte: Duration,
    /// Whether the request that got this response carried the validators.
    pub(crate) conditional: bool,
}

impl Exchange<'_> {
    /// Follows redirects to the response that the caller asked for, whatever its status.
    pub(crate) async fn run(&self) -> Result<Arrived, Error> {
        let mut trail = vec![self.request.url.clone()];
        let mut headers = self.request.headers.clone();
        let mut first_byte = Duration::ZERO;
        loop {
            let redirects = trail.len() - 1;
            let url = &trail[redirects];
            let (response, turn, took) = self
                .hop(url, &headers)
                .await
                .map_err(|fault| fault.at(url, redirects))?;
            first_byte += took;
            let next = redirect::target(response.status(), response.headers(), &trail)
                .map_err(|fault| fault.at(url, redirects))?;
            let Some(next) = next else {
                let conditional = self
                    .validators
                    .is_some_and(|validators| validators.url == *url);
                let url = url.clone();
                return Ok(Arrived {
                    response,
                    turn,
                    url,
                    redirects,
                    first_byte,
                    conditional,
                });
            };
            headers = headers.between(url, &next);
            trail.push(next);
        }
    }

    async fn hop(
        &self,
        url: &Url,
        headers: &Headers,
    ) -> Result<(reqwest::Response, Turn, Duration), Fault> {
        self.guard.check(url, self.request.scope).await?;
        let fields = self.fields(url, headers)?;
        let turn = self.request.manners.turn(url).await?;
        let sent = Instant::now();
        let method = if self.request.head {
            Method::HEAD
        } else {
            Method::GET
        };
        let sending = self.http.request(method, url.clone());
        let sending = sending.headers(fields).send();
        let sending = CONNECT_LIMIT.scope(self.request.timeouts.connect, sending);
        let limit = self.request.timeouts.first_byte;
        let response = timeout(limit, sending)
            .await
            .map_err(|_| Fault::Timeout {
                phase: Phase::FirstByte,
                limit,
            })?
            .map_err(|error| Fault::before_headers(&error))?;
        Ok((response, turn, sent.elapsed()))
    }

    fn fields(&self, url: &Url, headers: &Headers) -> Result<HeaderMap, Fault> {
        let request = self.request;
        let mut fields = headers.map().clone();
        if !fields.contains_key(header::USER_AGENT) {
            let user_agent = HeaderValue::from_str(&request.user_agent)
                .map_err(|_| Fault::Header("user-agent"))?;
            fields.insert(header::USER_AGENT, user_agent);
        }
        let coding = if request.gzip { "gzip" } else { "identity" };
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
        if let Some(range) = request.range {
            // A last byte beyond what a server counts with is 416 to nginx.
            let value = match range.end {
                ByteRange::OPEN => format!("bytes={}-", range.start),
                end => format!("bytes={}-{}", range.start, end - 1),
            };
            fields.insert(
                header::RANGE,
                HeaderValue::from_str(&value).map_err(|_| Fault::Header("range"))?,
            );
        }
        if let Some(validators) = self.validators.filter(|validators| validators.url == *url) {
            let pairs = [
                (header::IF_NONE_MATCH, &validators.etag),
                (header::IF_MODIFIED_SINCE, &validators.last_modified),
            ];
            for (name, value) in pairs {
                fields.extend(value.clone().map(|value| (name, value)));
            }
        }
        Ok(fields)
    }
}
