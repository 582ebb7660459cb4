use proptest::prelude::*;

use super::*;

/// Everything one run over `input` in pieces does, the pieces ending at `cuts`, until it stops.
fn observe(
    kernel: Kernel,
    from: State,
    input: &[u8],
    cuts: &[usize],
) -> (Vec<u8>, usize, Stop, State) {
    let mut state = from;
    let mut output = Vec::new();
    let mut read = 0;
    for &cut in cuts.iter().chain([&input.len()]) {
        let piece = &input[read..cut];
        let mut buffer = vec![0; piece.len()];
        let run = kernel.run(&mut state, piece, &mut buffer);
        output.extend_from_slice(&buffer[..run.written]);
        read += run.read;
        if run.stop != Stop::Input {
            return (output, read, run.stop, state);
        }
    }
    (output, read, Stop::Input, state)
}

const STATES: [State; 7] = [
    State::LineStart,
    State::LineDot,
    State::LineDotCr,
    State::LineEscape,
    State::Body,
    State::Cr,
    State::Escape,
];

#[track_caller]
fn check(input: &[u8], expected: &[u8], stop: Stop) {
    for kernel in Kernel::available() {
        let got = observe(kernel, State::LineStart, input, &[]);
        assert_eq!(
            (&got.0[..], got.2),
            (expected, stop),
            "{} {input:?}",
            kernel.name()
        );
    }
}

#[test]
fn undoes_yenc_and_dot_stuffing() {
    check(b"*+\x29", &[0, 1, 255], Stop::Input);
    check(b"=j=}", &[0, 19], Stop::Input);
    check(b"..*\r\n..*", &[4, 0, 4, 0], Stop::Input);
    check(b"*..*", &[0, 4, 4, 0], Stop::Input);
    check(b"*\r\n.+", &[0, 1], Stop::Input);
    check(b"*\r+\n,", &[0, 1, 2], Stop::Input);
    check(b"*\r\n.\r\n+", &[0], Stop::End);
    check(b"*\r\n..\r\n+\r\n", &[0, 4, 1], Stop::Input);
    check(b"*\r\n.\r+\n", &[0, 1], Stop::Input);
    check(b"*\r\n=yend", &[0], Stop::Control);
    check(b"*\r\n.=yend", &[0], Stop::Control);
    check(b"*=y\r\n=j", &[0, 15, 0], Stop::Input);
    check(b"==*", &[211, 0], Stop::Input);
    check(b"=\r\n.\r\n", &[163], Stop::End);
    check(b"\n.\r\n*", &[4, 0], Stop::Input);
}

/// Bytes that mean something, and two that mean nothing, in the weights that make odd sequences.
fn odd_bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => any::<u8>(),
        2 => Just(b'\r'),
        3 => Just(b'\n'),
        2 => Just(b'='),
        2 => Just(b'.'),
        1 => Just(b'y'),
    ];
    let piece = prop_oneof![
        4 => proptest::collection::vec(byte, 1..70),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r\n..".to_vec()),
        1 => Just(b"\r\n=j".to_vec()),
        1 => proptest::collection::vec(any::<u8>().prop_filter("plain", |b| !b"\r\n=.".contains(b)), 50..200),
    ];
    proptest::collection::vec(piece, len).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_kernel_equals_the_plain_one(input in odd_bytes(0..12), from in 0..STATES.len(), cut in any::<prop::sample::Index>()) {
        let plain = observe(Kernel(Path::Plain), STATES[from], &input, &[]);
        let cut = cut.index(input.len() + 1);
        for kernel in Kernel::available() {
            prop_assert_eq!(&observe(kernel, STATES[from], &input, &[]), &plain, "{}", kernel.name());
            prop_assert_eq!(&observe(kernel, STATES[from], &input, &[cut]), &plain, "{} {}", kernel.name(), cut);
        }
    }

    #[test]
    fn a_small_output_stops_each_kernel_at_the_same_byte(input in odd_bytes(0..8), room in 0usize..300) {
        let run = |kernel: Kernel| {
            let mut state = State::LineStart;
            let mut output = vec![0; room];
            let run = kernel.run(&mut state, &input, &mut output);
            output.truncate(run.written);
            (run, state, output)
        };
        let plain = run(Kernel(Path::Plain));
        for kernel in Kernel::available() {
            prop_assert_eq!(&run(kernel), &plain, "{}", kernel.name());
        }
    }
}

/// The same over many more inputs than proptest can make in the time.
#[test]
fn every_kernel_equals_the_plain_one_over_noise() {
    const ODD: &[u8] = b"\r\n=.y";
    let kernels = Kernel::available();
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as usize % below
    };
    for _ in 0..20_000 {
        let (len, rarity, from) = (next(400), 2 + next(100), STATES[next(STATES.len())]);
        let input: Vec<u8> = (0..len)
            .map(|_| match next(rarity) {
                0 => ODD[next(ODD.len())],
                _ => next(256) as u8,
            })
            .collect();
        let plain = observe(Kernel(Path::Plain), from, &input, &[]);
        let cut = next(len + 1);
        for &kernel in &kernels {
            assert_eq!(
                observe(kernel, from, &input, &[cut]),
                plain,
                "{} {from:?} {input:?}",
                kernel.name()
            );
        }
    }
}

/// Every sequence of five bytes that mean something, at every place of a block, from every
/// state: all that a mask or a carry could get wrong.
#[test]
fn every_short_sequence_at_every_place_of_a_block() {
    const BYTES: [u8; 6] = *b"\r\n=.y*";
    let kernels = Kernel::available();
    for code in 0..6usize.pow(5) {
        let sequence: [u8; 5] = std::array::from_fn(|i| BYTES[code / 6usize.pow(i as u32) % 6]);
        // The exhaustive walk is over the block's edges, where the carries are; its middle is one
        // case.
        for at in [0, 1, 2, 30, 58, 59, 60, 61, 62, 63, 64, 65] {
            let mut input = [b'+'; 140];
            input[at..at + 5].copy_from_slice(&sequence);
            let from = STATES[(code + at) % STATES.len()];
            let plain = observe(Kernel(Path::Plain), from, &input, &[]);
            for &kernel in &kernels {
                assert_eq!(
                    observe(kernel, from, &input, &[]),
                    plain,
                    "{} {sequence:?} at {at}",
                    kernel.name()
                );
            }
        }
    }
}
