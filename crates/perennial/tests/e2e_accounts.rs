//! A provider that allows one connection at a time, and two sources that both need it.

mod e2e;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::{Gateway, SOON, check_clean, indexes, until_played};
use serde_json::Value;
use testkit::{Clip, Fault, Origin, Spec};
use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// Bytes a second at which a segment of two seconds takes a second and a half.
const SLOW: u32 = 35_000;

/// Connections to a provider, over all its origins.
#[derive(Debug, Default)]
struct Connections {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// A door before an origin, where the provider counts.
struct Door {
    url: Url,
    _open: AbortOnDropHandle<()>,
}

impl Door {
    async fn before(origin: &Origin, connections: &Arc<Connections>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port is free");
        let mut url = origin.url();
        let inside = url.port().expect("an origin has a port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        url.set_port(Some(port)).expect("an http URL has a port");
        let connections = connections.clone();
        let open = tokio::spawn(async move {
            while let Ok((mut theirs, _)) = listener.accept().await {
                let connections = connections.clone();
                tokio::spawn(async move {
                    let now = connections.open.fetch_add(1, Ordering::SeqCst) + 1;
                    connections.most.fetch_max(now, Ordering::SeqCst);
                    if let Ok(mut ours) = TcpStream::connect((Ipv4Addr::LOCALHOST, inside)).await {
                        let (mut from_us, mut to_us) = theirs.split();
                        let (mut from_origin, mut to_origin) = ours.split();
                        // Over as soon as one side closes: an origin that stalls keeps its own open.
                        tokio::select! {
                            _ = copy(&mut from_us, &mut to_origin) => {}
                            _ = copy(&mut from_origin, &mut to_us) => {}
                        }
                    }
                    connections.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            url,
            _open: AbortOnDropHandle::new(open),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_one_stream_never_has_two_and_fails_over() {
    let origin = async |clip| {
        let spec = Spec {
            clip,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin starts")
    };
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let connections = Arc::new(Connections::default());
    let (first, second) = (
        Door::before(&a, &connections).await,
        Door::before(&b, &connections).await,
    );
    let source = |url: &Url| format!("[[channel.source]]\nurl = \"{url}\"\naccount = \"one\"\n");
    let config = format!(
        "[[account]]\nname = \"one\"\nmax_streams = 1\n[[channel]]\nid = \"news\"\n{}{}",
        source(&first.url),
        source(&second.url)
    );
    let gateway = Gateway::serve(&config).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 5).await;
    for (fault, broken, mended, to) in [(Fault::Dead, &a, &b, 1), (Fault::Stall, &b, &a, 0)] {
        mended.set_fault(None);
        broken.set_fault(Some(fault));
        let on_air = |info: &Value| info["source"]["index"] == to && info["state"] == "live";
        gateway
            .until(SOON, "news", "the other source on air", on_air)
            .await;
        let so_far = player.report().segments.len();
        until_played(&player, so_far + 5).await;
    }
    let most = connections.most.load(Ordering::SeqCst);
    println!("at most {most} connections at once");
    assert_eq!(most, 1);
    let report = player.stop();
    check_clean(&report);
    assert_eq!(report.discontinuities().len(), 2, "{report}");
    let of = |origin| indexes(origin, &report.segments).iter().flatten().count();
    assert_eq!(of(&a) + of(&b), report.segments.len(), "{report}");
}

/// Its segments take as long to come as they last, or nearly: whatever is asked for meanwhile has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_source_of_an_account_has_one_connection() {
    let origin = Origin::start(Spec::default())
        .await
        .expect("an origin starts");
    let connections = Arc::new(Connections::default());
    let door = Door::before(&origin, &connections).await;
    origin.set_fault(Some(Fault::Slow(SLOW)));
    let config = format!(
        "[[account]]\nname = \"one\"\nmax_streams = 1\n[[channel]]\nid = \"news\"\n\
         [[channel.source]]\nurl = \"{}\"\naccount = \"one\"\n",
        door.url
    );
    let gateway = Gateway::serve(&config).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 8).await;
    assert_eq!(connections.most.load(Ordering::SeqCst), 1);
    check_clean(&player.stop());
}
