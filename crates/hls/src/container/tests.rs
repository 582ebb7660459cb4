use proptest::prelude::*;

use super::*;
use crate::ts::build::Mux;

fn ts_segment() -> Vec<u8> {
    let mut mux = Mux::new();
    mux.tables();
    for frame in 0..100 {
        mux.video(frame * 3600, frame == 0, 1500);
    }
    mux.bytes
}

fn fmp4_segment() -> Vec<u8> {
    b"\0\0\0\x08styp\0\0\0\x08moof\0\0\0\x0cmdat1234".to_vec()
}

fn adts_frame() -> Vec<u8> {
    let mut frame = vec![0xff, 0xf1, 0x50, 0x80, 0x19, 0x1f, 0xfc];
    frame.resize(200, 0x21);
    frame
}

fn mp3_frame() -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
    frame.resize(417, 0x21);
    frame
}

fn ac3_frame() -> Vec<u8> {
    let mut frame = vec![0x0b, 0x77, 0, 0, 0x14, 0x40];
    frame.resize(768, 0x21);
    frame
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    let mut body = b"ID3\x04\0\0\0\0\x01\x05".to_vec();
    body.resize(10 + 133, 0);
    body.extend(frame.repeat(20));
    body
}

#[test]
fn every_container_is_told_by_its_bytes() {
    for (body, expected) in [
        (ts_segment(), Container::Ts),
        ([b"\x89PNG\r\n", &ts_segment()[..]].concat(), Container::Ts),
        (fmp4_segment(), Container::Fmp4),
        (tagged(&adts_frame()), Container::Aac),
        (adts_frame().repeat(3), Container::Aac),
        (tagged(&mp3_frame()), Container::Mp3),
        (tagged(&ac3_frame()), Container::Ac3),
        (b"WEBVTT\n\n".to_vec(), Container::Vtt),
        (b"\xef\xbb\xbfWEBVTT - title\n".to_vec(), Container::Vtt),
        (b"WEBVTT".to_vec(), Container::Vtt),
    ] {
        assert_eq!(sniff(&body), Some(expected));
        assert_eq!(
            inspect(&body).map(|inspection| inspection.container),
            Ok(expected)
        );
    }
    for body in [
        &b""[..],
        b"WEBVTTX",
        b"GIF89a and so on",
        &[0xff; 5000],
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    ] {
        assert_eq!(sniff(body), None, "{body:x?}");
    }
}

#[track_caller]
fn check_refused(body: &[u8], expected: &str) {
    assert_eq!(inspect(body).unwrap_err().to_string(), expected);
}

#[test]
fn what_is_no_media_is_named() {
    check_refused(b"", "empty body");
    check_refused(
        b"\n<!DOCTYPE HTML><title>403</title>",
        "html instead of media",
    );
    check_refused(b"<?xml version='1.0'?><Error/>", "xml instead of media");
    check_refused(b"{\"error\":\"expired\"}", "json instead of media");
    check_refused(b"#EXTM3U\n", "a playlist instead of media");
    check_refused(
        &[7; 9000],
        "unknown media: no sync byte in the first 4096 bytes, no box, no audio frame",
    );
    let fmp4 = fmp4_segment();
    check_refused(&fmp4[..27], "truncated mdat box at byte 16");
    check_refused(&fmp4[..16], "moof box at byte 8 has no mdat box");
    check_refused(&fmp4[..8], "no moof box");
}

#[test]
fn a_transport_stream_needs_its_tables() {
    let body = ts_segment();
    check_refused(&body[188..], "no program association table in 901 packets");
    let without_map = [&body[..188], &body[2 * 188..]].concat();
    check_refused(&without_map, "no program map table in 901 packets");
}

/// Damages every `step`-th packet of a segment of 902, from the fourth on, `count` times.
fn damage(count: usize, step: usize) -> Vec<u8> {
    let mut body = ts_segment();
    for packet in body.chunks_mut(188).skip(3).step_by(step).take(count) {
        packet[1] |= 0x80;
    }
    body
}

#[test]
fn a_few_damaged_packets_pass_and_are_counted() {
    assert_eq!(inspect(&damage(0, 1)).unwrap().damaged_packets, 0);
    let inspection = inspect(&damage(18, 40)).unwrap();
    assert_eq!(
        (inspection.damaged_packets, inspection.continuity_errors),
        (18, 18)
    );
    check_refused(&damage(19, 40), "19 of 902 packets damaged");
    let small = damage(4, 1)[..10 * 188].to_vec();
    assert_eq!(inspect(&small).unwrap().damaged_packets, 4);
    check_refused(&damage(5, 1)[..10 * 188], "5 of 10 packets damaged");
    let cut_short = &ts_segment()[..100 * 188 + 3];
    assert_eq!(inspect(cut_short).unwrap().damaged_packets, 1);
}

#[test]
fn audio_frames_are_followed_to_the_end() {
    for frame in [adts_frame(), mp3_frame(), ac3_frame()] {
        let mut body = tagged(&frame);
        assert_eq!(inspect(&body).unwrap().damaged_packets, 0);
        body.pop();
        assert_eq!(inspect(&body).unwrap().damaged_packets, 1);
        body[143 + 5 * frame.len()] = 0;
        assert_eq!(inspect(&body).unwrap().damaged_packets, 2);
        body.extend([0x21].repeat(frame.len() * 10));
        let error = inspect(&body).unwrap_err().to_string();
        assert_eq!(error, "11 of 30 packets damaged");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(
        head in 0usize..6,
        body in prop::collection::vec(any::<u8>(), 0..2000),
        at in 0usize..400,
    ) {
        let mut whole = match head {
            0 => Vec::new(),
            1 => ts_segment(),
            2 => fmp4_segment(),
            3 => tagged(&adts_frame()),
            4 => tagged(&mp3_frame()),
            _ => tagged(&ac3_frame()),
        };
        let at = at.min(whole.len());
        let end = (at + body.len()).min(whole.len());
        whole.splice(at..end, body);
        let judged = inspect(&whole);
        if let Ok(inspection) = judged {
            prop_assert_eq!(sniff(&whole), Some(inspection.container));
        }
    }
}
