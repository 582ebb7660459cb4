//! What each scope reaches, checked where connections are made.

use fetch::{Client, Fault, Request, Scope, Settings};
use url::Url;

use crate::server::{Server, reply};
use crate::{checked, client, fault, request, settings};

async fn reach(client: &Client, url: &str, scope: Scope) -> Result<(), Fault> {
    let request = Request {
        scope,
        ..request(client, url.parse().unwrap())
    };
    client
        .get(&request)
        .await
        .map(|_| ())
        .map_err(|error| checked(&error, request.url.host_str().unwrap()))
}

#[tokio::test]
async fn a_scope_is_held_for_literals_and_for_names() {
    let server = Server::always(vec![reply(200, &[], "x")]).await;
    let port = server.address.port();
    let client = client();
    let local = "127.0.0.1".parse().unwrap();
    for host in ["127.0.0.1", "here.test", "127.1", "2130706433"] {
        let url = format!("http://{host}:{port}/");
        // First with the scope that reaches it: the kept connection must not serve the others.
        assert_eq!(
            reach(&client, &url, Scope::Loopback).await,
            Ok(()),
            "{host}"
        );
        for scope in [Scope::Private, Scope::Public] {
            assert_eq!(
                reach(&client, &url, scope).await,
                Err(Fault::Refused {
                    address: local,
                    scope
                }),
                "{host}"
            );
        }
    }
    let lan = Err(Fault::Refused {
        address: "10.255.255.1".parse().unwrap(),
        scope: Scope::Public,
    });
    assert_eq!(reach(&client, "http://lan.test/", Scope::Public).await, lan);
}

#[tokio::test]
async fn of_a_names_addresses_only_those_in_scope_are_connected_to() {
    let server = Server::always(vec![reply(200, &[], "x")]).await;
    let url = format!("http://mixed.test:{}/", server.address.port());
    assert_eq!(reach(&client(), &url, Scope::Loopback).await, Ok(()));
}

/// Judged for each address that is connected to: a name's answers may change, and so may where it leads.
#[tokio::test]
async fn an_allowed_network_is_reached_and_nothing_beside_it() {
    let beside = [("location", "http://127.0.0.2/")];
    let server = Server::always(vec![reply(302, &beside, "")]).await;
    let allowing = |network: &str| {
        let allow = vec![network.parse().unwrap()];
        let settings = Settings {
            allow,
            ..settings()
        };
        Client::new(settings).unwrap()
    };
    let client = allowing("127.0.0.1/32");
    let refused = |address: &str| {
        Err(Fault::Refused {
            address: address.parse().unwrap(),
            scope: Scope::Public,
        })
    };
    for host in ["127.0.0.1", "here.test", "mixed.test"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let request = Request {
            scope: Scope::Public,
            ..request(&client, url.parse().unwrap())
        };
        let error = client.get(&request).await.unwrap_err();
        assert_eq!(
            (error.redirects, Err(error.fault)),
            (1, refused("127.0.0.2")),
            "{host}"
        );
    }
    for host in ["10.255.255.1", "lan.test"] {
        let url = format!("http://{host}/");
        let reached = reach(&client, &url, Scope::Public).await;
        assert_eq!(reached, refused("10.255.255.1"), "{host}");
    }
    // Where clouds tell secrets, no list leads.
    let metadata = reach(
        &allowing("0.0.0.0/0"),
        "http://metadata.test/",
        Scope::Public,
    )
    .await;
    assert_eq!(metadata, refused("169.254.169.254"));
}

#[tokio::test]
async fn the_scope_of_a_named_source() {
    let client = client();
    for (url, expected) in [
        ("http://127.0.0.1/", Some(Scope::Loopback)),
        ("http://here.test/", Some(Scope::Loopback)),
        ("http://mixed.test/", Some(Scope::Loopback)),
        ("https://192.168.1.2:8443/", Some(Scope::Private)),
        ("http://lan.test/", Some(Scope::Private)),
        ("http://1.1.1.1/", Some(Scope::Public)),
        ("http://metadata.test/", None),
        ("http://[fe80::1]/", None),
        ("http://nowhere.test/", None),
        ("ftp://1.1.1.1/", None),
        ("data:text/plain,x", None),
    ] {
        let url: Url = url.parse().unwrap();
        assert_eq!(client.scope_of(&url).await.ok(), expected, "{url}");
    }
    assert_eq!(
        client.scope_of(&"http://localhost/".parse().unwrap()).await,
        Ok(Scope::Loopback)
    );
}

#[tokio::test]
async fn the_gateway_does_not_fetch_from_itself() {
    let server = Server::always(vec![reply(200, &[], "x")]).await;
    let port = server.address.port();
    for own in [
        server.address,
        ([0, 0, 0, 0], port).into(),
        (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
    ] {
        let client = Client::new(Settings {
            own: vec![own],
            ..settings()
        })
        .unwrap();
        for host in ["127.0.0.1", "here.test", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/");
            assert_eq!(
                reach(&client, &url, Scope::Loopback).await,
                Err(Fault::Own(server.address)),
                "{own} {host}"
            );
        }
    }
    let other = Client::new(Settings {
        own: vec![([127, 0, 0, 1], 1).into()],
        ..settings()
    })
    .unwrap();
    assert_eq!(
        reach(
            &other,
            &format!("http://here.test:{port}/"),
            Scope::Loopback
        )
        .await,
        Ok(())
    );
    assert!(server.seen().len() == 1);
}

#[tokio::test]
async fn urls_that_are_never_fetched() {
    let client = client();
    for (url, reason) in [
        ("ftp://127.0.0.1/x", "is neither http nor https"),
        ("file://127.0.0.1/x", "is neither http nor https"),
        (
            &format!("http://127.0.0.1/{}", "x".repeat(9000)),
            "is longer than 8 KiB",
        ),
    ] {
        let request = request(&client, url.parse().unwrap());
        assert_eq!(fault(&client, &request).await, Fault::Url(reason));
    }
}
