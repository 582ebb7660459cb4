//! Where a redirect leads (RFC 9110 §15.4). Each hop is followed by hand, so that it passes the
//! guard, the manners and [`crate::Headers::between`] like the first.

use http::{HeaderMap, StatusCode, header};
use url::Url;

use crate::error::Fault;
use crate::guard::URL_LENGTH_MAX;

/// Redirects followed for one request.
pub(crate) const REDIRECTS_MAX: usize = 5;

/// The next URL, or `None` for a response that is no redirect. `trail` are the URLs visited so far,
/// at least one.
pub(crate) fn target(
    status: StatusCode,
    headers: &HeaderMap,
    trail: &[Url],
) -> Result<Option<Url>, Fault> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let from = trail.last().expect("a trail starts with the request's URL");
    let location = headers
        .get(header::LOCATION)
        .ok_or(Fault::Location("is missing"))?;
    if location.len() > URL_LENGTH_MAX {
        return Err(Fault::Location("is longer than 8 KiB"));
    }
    // Not `to_str`: many servers send paths in plain UTF-8.
    let location =
        std::str::from_utf8(location.as_bytes()).map_err(|_| Fault::Location("is not UTF-8"))?;
    let mut next = from
        .join(location)
        .map_err(|_| Fault::Location("is no URL"))?;
    if next.origin() == from.origin() && next.username().is_empty() && next.password().is_none() {
        // As an Authorization header would, the URL's own user stays with its origin.
        let kept = next
            .set_username(from.username())
            .and_then(|()| next.set_password(from.password()));
        kept.map_err(|()| Fault::Location("cannot carry the user of the URL"))?;
    }
    if trail.contains(&next) {
        return Err(Fault::RedirectLoop);
    }
    if trail.len() > REDIRECTS_MAX {
        return Err(Fault::TooManyRedirects { max: REDIRECTS_MAX });
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(location: &[u8], expected: Result<&str, Fault>) {
        let from = "http://user:pass@a.example/live/x.m3u8?t=1"
            .parse()
            .unwrap();
        let headers = [(header::LOCATION, location.try_into().unwrap())]
            .into_iter()
            .collect();
        let next = target(StatusCode::FOUND, &headers, &[from]);
        let next = next.map(|next| next.unwrap().to_string());
        assert_eq!(next, expected.map(ToOwned::to_owned));
    }

    #[test]
    fn resolves_locations_and_leaves_the_user_with_its_origin() {
        check(b"y.m3u8", Ok("http://user:pass@a.example/live/y.m3u8"));
        check(b"http://a.example:80/y", Ok("http://user:pass@a.example/y"));
        check(
            b"http://new:one@a.example/y",
            Ok("http://new:one@a.example/y"),
        );
        check(b"//b.example/y", Ok("http://b.example/y"));
        check(b"https://a.example/y", Ok("https://a.example/y"));
        check(
            "/caf\u{e9}".as_bytes(),
            Ok("http://user:pass@a.example/caf%C3%A9"),
        );
        check(b"/caf\xe9", Err(Fault::Location("is not UTF-8")));
        check(b"http://[", Err(Fault::Location("is no URL")));
        check(b"?t=1", Err(Fault::RedirectLoop));
    }

    #[test]
    fn other_statuses_lead_nowhere() {
        let headers = [(header::LOCATION, "/y".parse().unwrap())]
            .into_iter()
            .collect();
        for status in [200, 201, 300, 304, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                target(status, &headers, &["http://a.example/".parse().unwrap()]),
                Ok(None)
            );
        }
    }
}
