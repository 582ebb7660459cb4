//! What holds for every playlist that is served: each of its URIs leads below the prefix, and rewriting
//! what was rewritten changes nothing.

use hls::playlist::{Document, Error, Limits, Variables};
use url::Url;
use vod::{Flavour, Prefix, render};

const KEY: &str = "media/film/v0/index.m3u8";

pub(crate) fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let url = Url::parse("http://library.invalid/x").expect("a constant URL is valid");
    let prefix = Prefix::new("media/film").expect("a prefix");
    let Ok(document) = Document::parse(bytes, &limits) else {
        return;
    };
    let Ok((document, _)) = document.expand(&url, &Variables::default()) else {
        return;
    };
    let flavour = Flavour::default();
    let Ok(once) = render(&document, "lib", KEY, &prefix, flavour) else {
        return;
    };
    let within = once.rewrite::<Error>(|found| {
        let target = prefix.resolve(KEY, found.uri);
        assert!(target.is_ok(), "{:?}: {target:?}", found.uri);
        Ok(found.uri.to_owned())
    });
    assert!(within.is_ok(), "what we write we read");
    let twice = render(&once, "lib", KEY, &prefix, flavour);
    assert_eq!(
        twice.map(|twice| twice.text().to_owned()).ok().as_deref(),
        Some(once.text())
    );
}
