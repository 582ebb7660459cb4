//! Redirects: followed a few times, through the guard, without carrying credentials away.

use fetch::{Client, Fault, Headers, Settings};

use crate::server::{Server, Step, reply};
use crate::{SECRET, checked, client, fault_of, request, settings, url};

fn to(location: &str) -> Vec<Step> {
    vec![reply(302, &[("Location", location)], "moved")]
}

#[tokio::test]
async fn five_are_followed_and_six_are_not() {
    let server = Server::start(|path| match path[1..].parse::<u32>().unwrap() {
        0 => vec![reply(200, &[], "there")],
        n => to(&format!("{}?token={SECRET}", n - 1)),
    })
    .await;
    // One place at the host is enough: a hop gives its place back before the next asks for one.
    let client = Client::new(Settings {
        at_once: 1,
        ..settings()
    })
    .unwrap();
    let response = client
        .get(&request(&client, url(&server, "/5")))
        .await
        .unwrap();
    assert_eq!(
        (response.body.as_ref(), response.head.final_url.path()),
        (b"there".as_ref(), "/0")
    );
    let error = client
        .get(&request(&client, url(&server, "/6")))
        .await
        .unwrap_err();
    assert_eq!(
        checked(&error, "127.0.0.1"),
        Fault::TooManyRedirects { max: 5 }
    );
    assert_eq!(error.redirects, 5);
}

#[tokio::test]
async fn loops_and_bad_locations() {
    let server = Server::start(|path| {
        to(if path == "/a" {
            "/b?token=hunter2"
        } else {
            "/a?token=hunter2"
        })
    })
    .await;
    let client = client();
    let error = client
        .get(&request(&client, url(&server, "/a")))
        .await
        .unwrap_err();
    assert_eq!(
        (checked(&error, "127.0.0.1"), error.redirects),
        (Fault::RedirectLoop, 1)
    );

    assert_eq!(
        fault_of(vec![reply(302, &[], "")], |_| {}).await,
        Fault::Location("is missing")
    );
    assert_eq!(
        fault_of(to("http://"), |_| {}).await,
        Fault::Location("is no URL")
    );
    let long = format!("/{}", "x".repeat(9000));
    assert_eq!(
        fault_of(to(&long), |_| {}).await,
        Fault::Location("is longer than 8 KiB")
    );
}

#[tokio::test]
async fn a_redirect_to_a_refused_place_names_that_place() {
    for (location, host) in [
        (
            "http://169.254.169.254/latest/meta-data?hunter2",
            "169.254.169.254",
        ),
        ("http://[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe]"),
        ("http://metadata.test/", "metadata.test"),
        ("http://0xa9fea9fe/", "169.254.169.254"),
    ] {
        let server = Server::always(to(location)).await;
        let client = client();
        let error = client
            .get(&request(&client, url(&server, "/")))
            .await
            .unwrap_err();
        assert!(
            matches!(checked(&error, host), Fault::Refused { .. }),
            "{error}"
        );
        assert_eq!(error.redirects, 1);
    }
    let server = Server::always(to("file:///etc/passwd")).await;
    let client = client();
    let error = client
        .get(&request(&client, url(&server, "/")))
        .await
        .unwrap_err();
    assert_eq!(error.fault, Fault::Url("is neither http nor https"));
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let elsewhere = Server::always(vec![reply(200, &[], "x")]).await;
    let target = format!("http://{}/final", elsewhere.address);
    let home = Server::start(move |path| match path {
        "/here" => to("/away"),
        _ => to(&target),
    })
    .await;
    let client = client();
    let mut request = request(
        &client,
        format!("http://user:{SECRET}@{}/here", home.address)
            .parse()
            .unwrap(),
    );
    request.headers = Headers::new([
        ("X-Key", SECRET),
        ("Cookie", SECRET),
        ("Referer", "http://site.example/"),
    ])
    .unwrap();
    client.get(&request).await.unwrap();

    let has = |head: &str| {
        ["authorization: basic", "x-key: ", "cookie: ", "referer: "].map(|name| head.contains(name))
    };
    let home: Vec<_> = home.seen().iter().map(|seen| has(&seen.head)).collect();
    assert_eq!(home, [[true; 4], [true; 4]]);
    let seen = elsewhere.seen().remove(0);
    assert_eq!(has(&seen.head), [false, false, false, true]);
    assert!(seen.head.contains("user-agent: vlc"), "{}", seen.head);
    assert!(!seen.head.contains(SECRET) && !seen.target.contains(SECRET));
}
