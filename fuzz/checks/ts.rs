//! What holds for every segment, whatever is in it. The fuzzer looks for bytes for which it does not;
//! `crates/hls/tests/fuzz_corpus.rs` replays those that are kept.

use std::time::Duration;

use hls::container;
use hls::ts::{self, PACKET_LEN, Restamp, Ticks};

/// The first two bytes are the durations, the others the body.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&[duration, target], body)) = bytes.split_first_chunk() else {
        return;
    };
    let _ = container::inspect(body);

    let report = ts::verify(body);
    assert_eq!(
        report.packets * PACKET_LEN + report.lost_bytes,
        body.len(),
        "each byte is counted once"
    );
    assert!(report.transport_errors + report.continuity_errors <= report.packets);

    let points = ts::access_points(body);
    assert!(
        points
            .windows(2)
            .all(|pair| pair[0].offset < pair[1].offset),
        "in order"
    );
    assert!(points.iter().all(|point| point.offset < body.len()));

    check_cut(
        body,
        Duration::from_millis(u64::from(duration) * 100),
        Duration::from_secs(u64::from(target)),
    );
    check_restamp(body);
}

fn check_cut(body: &[u8], duration: Duration, target: Duration) {
    let Ok(pieces) = ts::cut(body, duration, target) else {
        return;
    };
    assert!(!pieces.is_empty());
    let total: Duration = pieces.iter().map(|piece| piece.duration).sum();
    assert_eq!(total, duration, "pieces last as long as the whole");
    for piece in &pieces {
        assert!(
            piece.duration.as_secs_f64().round() <= target.as_secs_f64(),
            "{piece:?}"
        );
    }
    let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    assert!(bytes >= body.len(), "nothing is lost");
}

fn check_restamp(body: &[u8]) {
    // Timestamps get the marker bits that the standard asks for; nothing else changes, and that once.
    let mut marked = body.to_vec();
    Restamp::new().apply(&mut marked);
    let mut same = marked.clone();
    Restamp::new().apply(&mut same);
    assert_eq!(same, marked, "nothing was asked for");

    let mut moved = marked.clone();
    let mut restamp = Restamp::new();
    for round in 1..3 {
        restamp.splice(Ticks::new(round * Ticks::PER_SECOND));
        restamp.apply(&mut moved);
    }
    assert_eq!(moved.len(), body.len());
    // Where bytes were lost, whoever reads on looks for sync bytes at distances that lead into later packets,
    // and finds the new timestamps there.
    let before = ts::verify(body);
    if before.lost_bytes == 0 {
        assert_eq!(
            ts::verify(&moved).packets,
            before.packets,
            "packets stay where they are"
        );
    }
}
