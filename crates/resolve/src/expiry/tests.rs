use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

/// 20 November 2026, 12:00:00 UTC.
const NOW_S: i64 = 1_795_176_000;

fn parse(url: &str) -> Url {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// How many seconds from now the link says it will last, and who says so.
fn lasts(url: &str) -> Option<(i64, &'static str)> {
    let expiry = read(&parse(url), NOW_S * 1000)?;
    Some((expiry.at_ms / 1000 - NOW_S, expiry.carrier))
}

fn jwt(end_s: i64) -> String {
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    let claims = part(format!(r#"{{"iss":"cdn","exp":{end_s}}}"#));
    format!(
        "{}.{claims}.c2lnbmF0dXJl",
        part(r#"{"alg":"HS256"}"#.into())
    )
}

/// `COSE_Mac0`, tagged as a CWT: `61(17([h'', {}, h'{1: "cdn", 4: end}', h'…']))`.
fn cwt(end_s: i64) -> String {
    let end = u32::try_from(end_s).unwrap().to_be_bytes();
    let claims = [&[0xa2, 1, 0x63][..], b"cdn", &[4, 0x1a], &end].concat();
    let length = u8::try_from(claims.len()).unwrap();
    let head = [0xd8, 61, 0xd1, 0x84, 0x40, 0xa0, 0x58, length];
    URL_SAFE_NO_PAD.encode([&head[..], &claims, &[0x44, 1, 2, 3, 4]].concat())
}

fn policy(end_s: i64) -> String {
    let json = format!(
        r#"{{"Statement":[{{"Resource":"https://d.example/*","Condition":{{"DateLessThan":{{"AWS:EpochTime":{end_s}}}}}}}]}}"#
    );
    STANDARD
        .encode(json)
        .replace('+', "-")
        .replace('=', "_")
        .replace('/', "~")
}

fn wms(end_s: i64) -> String {
    let begun = jiff::Timestamp::from_second(end_s - 20 * 60).unwrap();
    let begun = begun.strftime("%-m/%-d/%Y %-I:%M:%S %p");
    let text = format!("server_time={begun}&hash_value=abc==&validminutes=20");
    STANDARD
        .encode(text)
        .replace('+', "%2B")
        .replace('=', "%3D")
        .replace('/', "%2F")
}

fn iso(at_s: i64, format: &str) -> String {
    jiff::Timestamp::from_second(at_s)
        .unwrap()
        .strftime(format)
        .to_string()
}

/// A link of each carrier that ends at `end_s`.
fn links(end_s: i64) -> Vec<(&'static str, String)> {
    let signed = iso(end_s - 300, "%Y%m%dT%H%M%SZ");
    let azure = iso(end_s, "%Y-%m-%dT%H%%3A%M%%3A%SZ");
    let at = |carrier, rest: String| (carrier, format!("https://o.example/{rest}"));
    vec![
        at(
            "X-Amz-Expires",
            format!(
                "b/i.m3u8?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed}&X-Amz-Expires=300&X-Amz-Signature=00ff"
            ),
        ),
        at(
            "X-Goog-Expires",
            format!("b/i.m3u8?X-Goog-Date={signed}&X-Goog-Expires=300&X-Goog-Signature=00ff"),
        ),
        at(
            "expires",
            format!("i.m3u8?AWSAccessKeyId=A&Expires={end_s}&Signature=s"),
        ),
        at("expires", format!("i.m3u8?exp={end_s}&sig=s")),
        at("expires", format!("i.m3u8?expire={end_s}")),
        at("expires", format!("i.m3u8?st=hash&e={end_s}")),
        at("expires", format!("i.m3u8?validto={end_s}")),
        at(
            "expires",
            format!("i.m3u8?customer1endtime={end_s}&customer1hash=x"),
        ),
        at(
            "Policy",
            format!("i.m3u8?Policy={}&Signature=s&Key-Pair-Id=K", policy(end_s)),
        ),
        at("se", format!("i.m3u8?sv=2024-11-04&se={azure}&sig=x")),
        at(
            "hdnts",
            format!(
                "i.m3u8?hdnts=st={}~exp={end_s}~acl=/*~hmac=00ff",
                end_s - 60
            ),
        ),
        at(
            "hdnea",
            format!("i.m3u8?hdnea=exp={end_s}~acl=/*~hmac=00ff"),
        ),
        at(
            "hdntl",
            format!("hdntl=exp={end_s}~acl=%2f*~hmac=00ff/i.m3u8"),
        ),
        at("path", format!("expires/{end_s}/sig/abc/i.m3u8")),
        at(
            "path",
            format!("bcdn_token=abc&expires={end_s}&token_path=%2F/i.m3u8"),
        ),
        at("wmsAuthSign", format!("i.m3u8?wmsAuthSign={}", wms(end_s))),
        at("txTime", format!("i.m3u8?txSecret=ab&txTime={end_s:X}")),
        at("wsTime", format!("i.m3u8?wsSecret=ab&wsTime={end_s}")),
        at("wsTime", format!("i.m3u8?wsSecret=ab&wsTime={end_s:x}")),
        at("jwt", format!("i.m3u8?token={}", jwt(end_s))),
        at("jwt", format!("live/{}/i.m3u8", jwt(end_s))),
        at("cwt", format!("i.m3u8?CAT={}", cwt(end_s))),
        at("cwt", format!("{}/i.m3u8", cwt(end_s))),
    ]
}

#[test]
fn each_carrier_is_read() {
    for (carrier, url) in links(NOW_S + 90) {
        assert_eq!(lasts(&url), Some((90, carrier)), "{url}");
    }
}

#[test]
fn no_number_is_taken_for_an_end_that_is_none() {
    for url in [
        "https://o.example/live/i.m3u8",
        "https://o.example/i.m3u8?e=12&exp=soon&expires=&id=1795176090",
        "https://o.example/expires/never/1795176090.ts",
        "https://o.example/seg-1795176090.ts?se=12",
        "https://o.example/i.m3u8?X-Amz-Expires=300",
        "https://o.example/i.m3u8?Policy=nonsense&wmsAuthSign=%00&txTime=xyz",
        "https://o.example/eyJhbGciOiJub25lIn0.e30.x/i.m3u8",
        "data:text/plain,exp=1795176090",
    ] {
        assert_eq!(lasts(url), None, "{url}");
    }
}

#[test]
fn a_date_without_a_time_and_a_token_with_a_fraction_are_read() {
    assert_eq!(
        lasts("https://o.example/i.m3u8?se=2026-11-21"),
        Some((12 * 3600, "se"))
    );
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{}.75}}"#, NOW_S + 60));
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
    let url = format!("https://o.example/i.m3u8?t={header}.{claims}.s");
    assert_eq!(lasts(&url), Some((60, "jwt")));
}

proptest! {
    #[test]
    fn every_carrier_tells_any_end_within_the_window(ahead_s in -86_000i64..2_500_000) {
        for (carrier, url) in links(NOW_S + ahead_s) {
            prop_assert_eq!(lasts(&url), Some((ahead_s, carrier)), "{}", url);
        }
    }

    #[test]
    fn nothing_outside_the_window_is_believed(beyond_s in 1i64..3_000_000_000, past in any::<bool>()) {
        let end_s = if past { NOW_S - 86_401 - beyond_s % NOW_S / 2 } else { NOW_S + 30 * 86_400 + beyond_s };
        let url = format!("https://o.example/expires/{end_s}/i.m3u8?exp={end_s}");
        prop_assert_eq!(lasts(&url), None);
    }

    #[test]
    fn milliseconds_and_microseconds_are_told_from_seconds(ahead_s in 0i64..2_500_000) {
        for zeros in ["", "000", "000000"] {
            let url = format!("https://o.example/expires/{}{zeros}/i.m3u8", NOW_S + ahead_s);
            prop_assert_eq!(lasts(&url), Some((ahead_s, "path")));
        }
    }

    #[test]
    fn of_several_the_earliest_counts(ends_s in prop::collection::vec(0i64..2_500_000, 2..6), order in any::<usize>()) {
        let mut query = String::new();
        let names = ["exp", "Expires", "e", "validto", "expire"];
        for (index, end_s) in ends_s.iter().enumerate() {
            let name = names[(index + order % names.len()) % names.len()];
            query.push_str(&format!("{name}={}&", NOW_S + end_s));
        }
        let least = ends_s.iter().min().copied();
        prop_assert_eq!(lasts(&format!("https://o.example/i.m3u8?{query}")).map(|(s, _)| s), least);
    }

    #[test]
    fn nonsense_is_survived(path in ".{0,60}", query in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 16..80)) {
        let token = URL_SAFE_NO_PAD.encode(&bytes);
        for url in [
            format!("https://o.example/{path}?{query}"),
            format!("https://o.example/{token}?Policy={query}&wmsAuthSign={token}&se={query}"),
            format!("https://o.example/?t={token}.{token}.{token}&hdnts={query}"),
        ] {
            if let Ok(url) = url.parse() {
                read(&url, NOW_S * 1000);
            }
        }
    }

    /// Whatever stands where the claims should be, no length is believed beyond what is there.
    #[test]
    fn broken_cbor_is_survived(tail in prop::collection::vec(any::<u8>(), 0..60)) {
        cbor::cwt_expiry(&[&[0xd1, 0x84, 0x40, 0xa0][..], &tail].concat());
        cbor::cwt_expiry(&tail);
    }
}
