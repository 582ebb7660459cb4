//! yEnc decoding with its CRC, in GB of article a second on one core, beside the copy of the same
//! bytes. `cargo bench -p nzb`; other decoders are measured by `make bench` in the same run.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use nzb::yenc::{Decoder, Kernel, Part, encode};

fn main() {
    divan::main();
}

/// The article size of the common posters.
const PART_BYTES: usize = 716_800;
/// Articles in turn: more than the last-level cache of most machines.
const ARTICLES: usize = 64;

fn articles() -> Vec<Vec<u8>> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..ARTICLES)
        .map(|i| {
            let data: Vec<u8> = (0..PART_BYTES).map(|_| byte()).collect();
            let begin = (i * PART_BYTES) as u64;
            let part = Part {
                name: "bench.mkv".to_owned(),
                file_size: (ARTICLES * PART_BYTES) as u64,
                number: Some(i as u32 + 1),
                total: Some(ARTICLES as u32),
                begin,
                end: begin + PART_BYTES as u64,
            };
            encode(&part, &data)
        })
        .collect()
}

fn total(articles: &[Vec<u8>]) -> BytesCount {
    BytesCount::new(articles.iter().map(Vec::len).sum::<usize>())
}

#[divan::bench(args = Kernel::available().into_iter().map(Kernel::name), sample_count = 20)]
fn decode(bencher: Bencher<'_, '_>, name: &str) {
    let kernel = Kernel::available()
        .into_iter()
        .find(|kernel| kernel.name() == name)
        .expect("named by the same list");
    let articles = articles();
    let mut output = vec![0; PART_BYTES];
    let mut decoder = Decoder::with_kernel(kernel);
    bencher.counter(total(&articles)).bench_local(|| {
        for article in &articles {
            decoder.reset();
            let progress = decoder.decode(black_box(article), &mut output);
            assert!(progress.done && decoder.finish().is_ok());
        }
    });
}

#[divan::bench(sample_count = 20)]
fn memcpy(bencher: Bencher<'_, '_>) {
    let articles = articles();
    let mut output = vec![0; PART_BYTES * 2];
    bencher.counter(total(&articles)).bench_local(|| {
        for article in &articles {
            black_box(&mut output)[..article.len()].copy_from_slice(black_box(article));
        }
    });
}

#[divan::bench(sample_count = 20)]
fn crc32(bencher: Bencher<'_, '_>) {
    let articles = articles();
    bencher.counter(total(&articles)).bench_local(|| {
        for article in &articles {
            black_box(crc32fast::hash(black_box(article)));
        }
    });
}
