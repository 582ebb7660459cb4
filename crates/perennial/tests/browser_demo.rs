//! `perennial demo` in Chromium: the page plays, its buttons work, and no fault stops the picture.

mod browser;

use browser::{Gateway, Picture, Play, SMOOTH, scenario};
use serde_json::json;

/// A switch reaches the screen when what is buffered has been played.
const ARRIVAL_S: u32 = 20;

fn on_screen(name: &str) -> serde_json::Value {
    json!({"wait": format!("text=Source {name} on screen"), "within": ARRIVAL_S})
}

#[tokio::test]
async fn the_page_plays_and_a_switch_is_one_discontinuity() {
    let gateway = Gateway::demo().await;
    let report = Play::of(&gateway.url("/"))
        .with("--seconds", 12)
        .then(on_screen("A"))
        .at(2, json!({"click": "text=Switch to B"}))
        .then(on_screen("B"))
        .run(&format!("{SMOOTH},discontinuities=1"))
        .await;
    assert_eq!(report.pictures(), [Picture::B]);
}

/// Each fault that the page offers breaks the source on air; the other one takes over, and is broken next.
#[tokio::test]
async fn the_picture_goes_on_whatever_breaks() {
    let gateway = Gateway::demo().await;
    let mut play = Play::of(&gateway.url("/"));
    let faults = ["dead", "freeze", "stall", "404", "html", "garbage"];
    for (fault, (on_air, other)) in faults.iter().zip([("A", "B"), ("B", "A")].iter().cycle()) {
        play = play
            .then(on_screen(on_air))
            .then(json!({"click": format!("[aria-label='Break {on_air}: {fault}']")}))
            .then(on_screen(other))
            .then(json!({"click": format!("text=Mend {on_air}")}));
    }
    let report = play
        .with("--seconds", 10)
        .run(&format!("{SMOOTH},discontinuities=6"))
        .await;
    assert_eq!(report.pictures(), [Picture::A]);
}

/// The share link that the demo prints is a page that plays at once.
#[tokio::test]
async fn the_private_film_plays_from_its_link() {
    let gateway = Gateway::demo().await;
    let log = gateway.log();
    let link = log.split_whitespace().find(|word| word.contains("/share/"));
    let link = link.expect("the demo prints a share link");
    Play::of(link)
        .with("--as", "page")
        .with("--seconds", 10)
        .run("played,no-stalls,no-fatal,no-http,frames>0")
        .await;
}

/// Two films straight from articles, one of them out of RAR volumes, beside each other on the page.
#[tokio::test]
async fn mounted_posts_are_listed_and_play() {
    let gateway = Gateway::demo().await;
    let log = gateway.log();
    let key = log.split_whitespace().find(|word| word.starts_with("pk_"));
    let key = key.expect("the demo prints its key");
    scenario("mounts", &gateway, key).await;
}
