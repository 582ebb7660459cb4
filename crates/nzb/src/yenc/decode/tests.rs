use proptest::prelude::*;

use super::*;
use crate::yenc::encode;

fn part(name: &str, begin: u64, len: usize, file_size: u64) -> Part {
    Part {
        name: name.to_owned(),
        file_size,
        number: Some(2),
        total: Some(3),
        begin,
        end: begin + len as u64,
    }
}

/// Feeds `body` in pieces of `step` bytes into an output of `room`, as long as it takes any.
fn feed(decoder: &mut Decoder, body: &[u8], step: usize, room: usize) -> (Vec<u8>, usize) {
    let mut file = Vec::new();
    let mut output = vec![0; room];
    let mut read = 0;
    let mut fed = step.min(body.len());
    loop {
        let progress = decoder.decode(&body[read..fed], &mut output);
        file.extend_from_slice(&output[..progress.written]);
        read += progress.read;
        if progress.done || (read == body.len()) {
            return (file, read);
        }
        assert!(
            progress.read + progress.written > 0 || fed > read,
            "no progress"
        );
        if read == fed {
            fed = (fed + step).min(body.len());
        }
    }
}

fn decode(body: &[u8]) -> (Result<Part, Fault>, Vec<u8>, usize) {
    let mut decoder = Decoder::new();
    let (file, read) = feed(&mut decoder, body, body.len().max(1), body.len());
    (decoder.finish().cloned(), file, read)
}

#[track_caller]
fn check_fault(body: &[u8], expected: Fault) {
    for step in [1, 7, body.len()] {
        let mut decoder = Decoder::new();
        let (_, read) = feed(&mut decoder, body, step, body.len());
        assert_eq!(decoder.finish(), Err(expected), "{}", body.escape_ascii());
        assert_eq!(read, body.len(), "keeps step with the connection");
    }
}

fn data(len: usize) -> Vec<u8> {
    seeded(0x2545_f491_4f6c_dd1d, len)
}

/// Noise in which every fourth byte or so is one that yEnc has to escape or NNTP to stuff.
fn seeded(seed: u64, len: usize) -> Vec<u8> {
    const ODD: [u8; 5] = [4, 19, 214, 223, 224];
    let mut x = seed | 1;
    let next = std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let byte = (x >> 32) as u8;
        if x >> 62 == 0 {
            ODD[usize::from(byte) % 5]
        } else {
            byte
        }
    });
    next.take(len).collect()
}

#[test]
fn every_split_of_an_article_gives_the_same_file() {
    let file = data(1500);
    let part = part("a file.mkv", 100, file.len(), 5000);
    let mut body = b"a comment\r\n\r\n".to_vec();
    body.extend(encode(&part, &file));
    body.extend(b"222 next\r\n");
    for kernel in Kernel::available() {
        for cut in 0..body.len() {
            let mut decoder = Decoder::with_kernel(kernel);
            let mut output = vec![0; body.len()];
            let first = decoder.decode(&body[..cut], &mut output);
            let second = decoder.decode(&body[first.read..], &mut output[first.written..]);
            assert_eq!(first.read + second.read, body.len() - 10);
            assert!(second.done);
            assert_eq!(&output[..first.written + second.written], file);
            assert_eq!(decoder.finish(), Ok(&part), "{} {cut}", kernel.name());
            assert!(decoder.has_crc());
        }
    }
}

#[test]
fn the_header_is_known_before_the_data() {
    let part = part("x", 0, 5, 5);
    let body = encode(&part, b"abcde");
    let mut decoder = Decoder::new();
    let _ = decoder.decode(&body[..90.min(body.len())], &mut [0; 90]);
    assert_eq!(decoder.part(), Some(&part));
    assert_eq!(decoder.finish(), Err(Fault::NoEnd), "not yet");
}

#[test]
fn a_decoder_serves_one_article_after_another() {
    let part = part("x", 0, 5, 5);
    let good = encode(&part, b"abcde");
    let mut decoder = Decoder::new();
    feed(&mut decoder, b"=ybegin size=1 name=", 4, 10);
    decoder.reset();
    assert_eq!(feed(&mut decoder, &good, good.len(), 5).0, b"abcde");
    assert_eq!(decoder.finish(), Ok(&part));
}

#[test]
fn names_the_fault_and_reads_to_the_end() {
    let length = |expected, got| Fault::Length { expected, got };
    let key = |line, key| Fault::Header(BadHeader::Key { line, key });
    check_fault(b".\r\n", Fault::NotYenc);
    check_fault(b"hello\r\n=yend size=1\r\n.\r\n", Fault::NotYenc);
    check_fault(
        b"=ybegin line=128 size=3 name=x\r\n***\r\n.\r\n",
        Fault::NoEnd,
    );
    check_fault(
        b"=ybegin line=128 size=3 name=x\r\n**\r\n=yend size=3\r\n.\r\n",
        length(3, 2),
    );
    check_fault(
        b"=ybegin line=128 size=3 name=x\r\n***\r\n=yend size=2\r\n.\r\n",
        length(2, 3),
    );
    check_fault(
        b"=ybegin line=128 size=3 name=x\r\n****\r\n=yend size=4\r\n.\r\n",
        length(3, 4),
    );
    check_fault(
        b"=ybegin line=128 size=1 name=x\r\n*\r\n=yend size=1 crc32=00000000\r\n.\r\n",
        Fault::Crc {
            expected: 0,
            got: 0xd202_ef8d,
        },
    );
    check_fault(
        b"=ybegin line=128 name=x\r\n*\r\n.\r\n",
        key("=ybegin", "size"),
    );
    check_fault(
        b"=ybegin line=128 size=-1 name=x\r\n*\r\n.\r\n",
        key("=ybegin", "size"),
    );
    check_fault(
        b"=ybegin line=128 size=1\r\n*\r\n.\r\n",
        key("=ybegin", "name"),
    );
    check_fault(
        b"=ybegin part=1 size=1 name=x\r\n*\r\n.\r\n",
        BadHeader::NoPart.into(),
    );
    check_fault(
        b"=ybegin part=1 size=1 name=x\r\n=ypart end=1\r\n.\r\n",
        key("=ypart", "begin"),
    );
    check_fault(
        b"=ybegin part=1 size=1 name=x\r\n=ypart begin=0 end=1\r\n.\r\n",
        key("=ypart", "begin"),
    );
    check_fault(
        b"=ybegin part=1 size=9 name=x\r\n=ypart begin=5 end=10\r\n..\r\n.\r\n",
        BadHeader::Span {
            begin: 4,
            end: 10,
            size: 9,
        }
        .into(),
    );
    check_fault(
        b"=ybegin size=99999999999 name=x\r\n*\r\n.\r\n",
        BadHeader::Span {
            begin: 0,
            end: 99_999_999_999,
            size: 99_999_999_999,
        }
        .into(),
    );
    let size = FILE_BYTES_MAX + 1;
    let huge = format!("=ybegin part=1 size={size} name=x\r\n=ypart begin=1 end=9\r\n.\r\n");
    check_fault(
        huge.as_bytes(),
        BadHeader::Span {
            begin: 0,
            end: 9,
            size,
        }
        .into(),
    );
    check_fault(
        b"=ybegin line=128 size=1 name=x\r\n*\r\n=ybegin size=1 name=x\r\n..\r\n.\r\n",
        BadHeader::Misplaced.into(),
    );
    let long = format!(
        "=ybegin size=1 name={}\r\n*\r\n.\r\n",
        "x".repeat(CONTROL_BYTES_MAX)
    );
    check_fault(
        long.as_bytes(),
        BadHeader::TooLong(CONTROL_BYTES_MAX).into(),
    );
    let text = format!("{}\r\n", "x".repeat(70)).repeat(PREAMBLE_BYTES_MAX / 72 + 1);
    check_fault(
        format!("{text}=ybegin size=1 name=x\r\n.\r\n").as_bytes(),
        Fault::NotYenc,
    );
    check_fault(
        format!("{}\r\n.\r\n", "x".repeat(PREAMBLE_BYTES_MAX * 2)).as_bytes(),
        Fault::NotYenc,
    );
}

#[test]
fn accepts_what_posters_write() {
    #[track_caller]
    fn name(header: &[u8], expected: &str) {
        let body = [b"=ybegin ", header, b"\r\n*\r\n=yend size=1\r\n.\r\n"].concat();
        let (part, file, _) = decode(&body);
        assert_eq!(part.map(|part| part.name).as_deref(), Ok(expected));
        assert_eq!(file, [0]);
    }
    name(
        b"line=128 size=1 name=a b=c size=7.mkv ",
        "a b=c size=7.mkv",
    );
    name(b"size=1 line=128 name=\xe4.mkv", "\u{e4}.mkv");
    name("size=1  line=128 name=\u{f6}.mkv".as_bytes(), "\u{f6}.mkv");
    for crc in [
        "crc32=D202EF8D",
        "crc32=ffffffffd202ef8d",
        "crc32=d202ef8d  ",
    ] {
        let body = format!("=ybegin line=128 size=1 name=x\r\n*\r\n=yend size=1 {crc}\r\n.\r\n");
        assert!(decode(body.as_bytes()).0.is_ok(), "{crc}");
    }
    // `crc32` of a part is the file's.
    let body = b"=ybegin part=1 total=2 line=128 size=2 name=x\r\n=ypart begin=1 end=1\r\n*\r\n=yend size=1 crc32=1\r\n.\r\n";
    assert!(decode(body).0.is_ok());
    // An empty file.
    assert_eq!(
        decode(b"=ybegin line=128 size=0 name=x\r\n=yend size=0\r\n.\r\n").1,
        b""
    );
}

#[test]
fn the_output_need_hold_no_more_than_the_part() {
    let file = data(1000);
    let body = encode(&part("x", 0, file.len(), 1000), &file);
    for room in [1, 64, 100, 1000] {
        let mut decoder = Decoder::new();
        assert_eq!(
            feed(&mut decoder, &body, body.len(), room).0,
            file,
            "{room}"
        );
        assert!(decoder.finish().is_ok());
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        seed: u64,
        len in 0usize..2000,
        step in 1usize..400,
        room in 1usize..400,
        begin in 0u64..1 << 40,
    ) {
        let file = seeded(seed, len);
        let part = part("n", begin, file.len(), begin + file.len() as u64);
        let body = encode(&part, &file);
        let mut decoder = Decoder::new();
        prop_assert_eq!(feed(&mut decoder, &body, step, room), (file, body.len()));
        prop_assert_eq!(decoder.finish(), Ok(&part));
    }

    #[test]
    fn any_bytes_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..600), tail in 0usize..5) {
        let head: &[u8] = [&b""[..], b"=ybegin size=90 name=x\r\n", b"=ybegin part=1 size=9 name=x\r\n=ypart begin=1 end=9\r\n", b"=ybegin", b"\r\n."][tail];
        let body = [head, &body].concat();
        let mut decoder = Decoder::new();
        feed(&mut decoder, &body, 50, 600);
        let mut whole = Decoder::new();
        feed(&mut whole, &body, body.len().max(1), 600);
        prop_assert_eq!(decoder.finish(), whole.finish());
    }
}
