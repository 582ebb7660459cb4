"""The yardstick of `yenc`: SABnzbd's decoder, on articles of the same size and number, on one core."""

import os
import statistics
import time

import sabctools

PART_BYTES = 716_800
ARTICLES = 64
ROUNDS = 20


def article():
    data = os.urandom(PART_BYTES)
    body, crc = sabctools.yenc_encode(data)
    head = b"222 0 <a@b>\r\n=ybegin part=1 total=1 line=128 size=%d name=x\r\n=ypart begin=1 end=%d\r\n"
    tail = b"\r\n=yend size=%d part=1 pcrc32=%08x\r\n.\r\n"
    size = (PART_BYTES, PART_BYTES)
    return head % size + bytes(body) + tail % (PART_BYTES, crc), crc


def decode(bytes_, crc):
    """Seconds that decoding takes; receiving into the decoder's buffer is not counted."""
    decoder = sabctools.Decoder(len(bytes_))
    decoder.expect(None)
    memoryview(decoder)[: len(bytes_)] = bytes_
    began = time.perf_counter()
    decoder.process(len(bytes_))
    took = time.perf_counter() - began
    (response,) = decoder
    assert response.crc == crc and response.bytes_decoded == PART_BYTES
    return took


articles = [article() for _ in range(ARTICLES)]
size = sum(len(bytes_) for bytes_, _ in articles)
rates = sorted(size / sum(decode(*one) for one in articles) / 1e9 for _ in range(ROUNDS))
print(
    f"sabctools {sabctools.__version__} ({sabctools.simd}): {statistics.median(rates):.2f} GB/s median, "
    f"{rates[0]:.2f} to {rates[-1]:.2f}"
)
