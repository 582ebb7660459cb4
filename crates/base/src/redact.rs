//! Values that must not reach a log, an error body or a viewer.

use std::fmt;

use url::Url;

/// A secret that prints as `[redacted]`. The value is read on purpose, with [`Redacted::expose`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides `value` from `Debug` and `Display`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Names of files up to this length are taken for names, longer ones for tokens.
const NAME_LENGTH_MAX: usize = 40;

/// A URL as it may be logged: scheme, host, port and the name of the file. User, password, folders, query
/// and fragment are dropped; a name that is too long to be one, or that carries `=` or `~` as tokens do,
/// becomes `…`.
pub fn redact_url(url: &Url) -> String {
    let Some(host) = url.host_str() else {
        return format!("{}:…", url.scheme());
    };
    let mut text = format!("{}://{host}", url.scheme());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    // Providers put users and passwords, tokens and dates of expiry into folders.
    let mut segments = url.path_segments().into_iter().flatten();
    let file = segments.next_back().unwrap_or_default();
    let token = file.len() > NAME_LENGTH_MAX || file.contains(['=', '~']);
    text.push_str(if segments.next().is_some() {
        "/…/"
    } else {
        "/"
    });
    text.push_str(if token { "…" } else { file });
    if url.query().is_some() {
        text.push_str("?…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(redact_url(&url.parse().unwrap()), expected);
    }

    #[test]
    fn a_logged_url_names_the_place_and_no_secret() {
        check(
            "http://user:pass@a.example:8080/live/x.m3u8?token=s#f",
            "http://a.example:8080/…/x.m3u8?…",
        );
        check(
            "http://a.example/live/user/password/1.ts",
            "http://a.example/…/1.ts",
        );
        check("http://a.example/x.m3u8", "http://a.example/x.m3u8");
        check(
            "https://a.example/hdnts=exp=1~hmac=ab/x.ts",
            "https://a.example/…/x.ts",
        );
        check(
            &format!("https://a.example/{}/x.ts", "q".repeat(41)),
            "https://a.example/…/x.ts",
        );
        check("data:text/plain,secret", "data:…");
    }

    #[test]
    fn a_secret_prints_as_redacted() {
        let secret = Redacted::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(*secret.expose(), "hunter2");
    }
}
