//! What each request of a viewer costs before anything is looked up: `cargo bench -p grant`.

use std::net::Ipv4Addr;
use std::time::Duration;

use divan::Bencher;
use grant::{Actions, Ask, Gate, Key, KeyRing, Order, Rules, Subject, Wanted};
use uuid::Uuid;

fn main() {
    divan::main();
}

#[divan::bench]
fn admit(bencher: Bencher<'_, '_>) {
    let rules = Rules {
        ttl: Duration::from_secs(600),
        idle_max: Duration::from_secs(86_400),
    };
    let gate = Gate::new(
        KeyRing::new(vec![Key::new(1, &[7; 32]), Key::new(2, &[8; 32])]),
        rules,
    );
    let asset = Uuid::from_u128(1);
    let now_ms = 1_800_000_000_000;
    let (_, text) = gate
        .mint(Order::play(gate.basis(Subject::Asset(asset), None)), now_ms)
        .expect("a key");
    let ask = Ask {
        wanted: Wanted::Asset(asset),
        action: Actions::PLAY,
        address: Ipv4Addr::LOCALHOST.into(),
        user_agent: "Mozilla/5.0",
    };
    bencher.bench(|| gate.admit(&text, &ask, now_ms).expect("a good grant"));
}
