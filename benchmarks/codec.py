"""Cost of JPEG files around the language model: encoding, tokenisation, packing and the grammar.

Encoding turns an image into its file as text. It is compared with Pillow's own `save` of whole
files at the same settings, without the conversion to text. Tokenisation is timed on texts of 10 and
of 80 kB. The grammar's cost is the time to mask one token of one file, over one cached decoding
step at batch size 1 of the model of `configs/jpeg_lm/digits.yaml`.

Cached decoding is that of a Llama of 110 million parameters in float32 at batch size 1: the bytes
of its weights per second, over the bytes that a large copy reads and writes per second.
"""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bench.clock import timed
from benchmarks.bench.from_config import configured
from benchmarks.bench.harness import Bench, run
from benchmarks.bench.timing import Measure
from modules.causal_lm.generate import Generation, generate
from modules.causal_lm.network import FromConfig, LanguageModel
from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.system import CodecLM

DIGITS = Path("configs/jpeg_lm/digits.yaml")
SHORT, LONG = 10_000, 80_000
"""Characters of the texts that are tokenised."""
NUM_IMAGES = 16
NUM_FILES = 200
NUM_DECODED = 64
"""Tokens that the large model generates per call."""
COPIED = 256 * 2**20
"""Bytes that the copy copies."""
CPU = torch.device("cpu")
LARGE = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12}
HEAD_SIZE = 64
BUDGET = 10_000
"""Tokens left to a file: far from any limit."""


def images(codec: JpegCodec, num: int) -> list[NDArray[np.uint8]]:
    """Smooth synthetic images with some detail."""
    rng = np.random.default_rng(0)
    side = max(2, codec.height // 8)
    shape = side, side, *codec.shape[2:]
    small = [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(num)]
    return [np.asarray(image.resize((codec.width, codec.height))) for image in small]


def encoding(bench: Bench) -> None:
    """Images to files as text, against Pillow's own files."""
    codec = JpegCodec(256, 256)
    samples = images(codec, NUM_IMAGES)
    measures = {
        "Pillow": timed(lambda: [codec.save(image) for image in samples], CPU),
        "ours": timed(lambda: [codec.text(image) for image in samples], CPU),
    }
    timings = bench.time("encoding", measures, "Pillow", num_rounds=30)
    ratio = timings.ratio("ours", "Pillow")
    bench.row(8, "picture to spelt bytes, time / Pillow's own save", ratio, 1.3, timings, limit=1.0)
    bench.details["pictures/s"] = NUM_IMAGES / timings.time("ours").median


def tokens(bench: Bench, system: CodecLM) -> None:
    """How the time of tokenisation grows with the length of a file."""
    codec = JpegCodec(256, 256, quality=75)
    text = "".join(codec.text(image) for image in images(codec, 8))
    text *= -(-LONG // len(text))
    encode = system.tokenizer.backend_tokenizer.encode
    measures = {
        "10 kB": timed(lambda: encode(text[:SHORT]), CPU),
        "80 kB": timed(lambda: encode(text[:LONG]), CPU),
    }
    timings = bench.time("tokens", measures, "10 kB", num_rounds=30)
    ratio = timings.ratio("80 kB", "10 kB")
    bench.row(8, "BPE t(80 kB) / t(10 kB)", ratio, 9.0, timings, limit=8.0)
    bench.details["MB/s"] = LONG / 1e6 / timings.time("80 kB").median


def packing(bench: Bench, data: Any) -> None:
    """Share of a row's positions that whole files fill."""
    data.prepare_data()
    data.setup("fit")
    (source,) = data.mixture_report().values()
    bench.row(8, "packing fill, whole files", source.fill, 0.98, limit=1.0, at_least=True)


def grammar(bench: Bench, system: CodecLM) -> None:
    """Time to mask one token over that of decoding it; every round takes a new file."""
    rules, codec = system.rules, system.codec
    assert isinstance(codec, JpegCodec)
    files = cycle(system.tokenizer.encode(codec.text(image)) for image in images(codec, NUM_FILES))

    def mask() -> float:
        file, state = next(files), rules.start
        start = perf_counter()
        for token in file:
            rules.legal(state, BUDGET)
            state = rules.advance(state, token)
        return (perf_counter() - start) / len(file)

    def decode() -> float:
        file, past = next(files), None
        start = perf_counter()
        with torch.no_grad(), system.language_model.generating() as model:
            for token in file:
                out = model(input_ids=torch.tensor([[token]]), past_key_values=past, use_cache=True)
                past = out.past_key_values
        return (perf_counter() - start) / len(file)

    timings = bench.time("grammar", {"mask": mask, "decode": decode}, "decode", num_rounds=20)
    bench.details["microseconds to mask a token"] = timings.time("mask").median * 1e6
    what = "grammar's cost of a token / cached decoding step of 1 M parameters"
    bench.row(9, what, timings.ratio("mask", "decode"), 0.10, timings)


def large(sizes: dict[str, int], device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """A Llama; the sizes of the CPU have 85 million parameters in blocks and 25 outside of them."""
    heads = sizes["hidden_size"] // HEAD_SIZE
    options: dict[str, Any] = {
        "vocab_size": 16_000,
        **sizes,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
    }
    with device:
        model = FromConfig(16_000, options)
    return model.to(dtype).eval()


def decoding(
    bench: Bench, sizes: dict[str, int] = LARGE, dtype: torch.dtype = torch.float32
) -> None:
    """Cached decoding of a large model, by our `generate` and by that of transformers."""
    device = bench.device
    model = large(sizes, device, dtype)
    num_parameters = sum(p.numel() for p in model.parameters())
    weights = [p for name, p in model.named_parameters() if "embed_tokens" not in name]
    num_bytes = sum(p.numel() * p.element_size() for p in weights)
    start = torch.ones(1, 1, dtype=torch.int64, device=device)
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)
    how = Generation(max_new_tokens=NUM_DECODED, temperature=0)
    tokenizer = SimpleNamespace(eos_token_id=None, pad_token_id=0)
    mask = torch.ones_like(start, dtype=torch.bool)

    def ours() -> None:
        generate(model, start, mask, tokenizer, how)

    def theirs() -> None:
        options = {"max_new_tokens": NUM_DECODED, "do_sample": False, "pad_token_id": 0}
        model.generate(start, mask, eos_token_id=None, **options)

    def per_byte(work: Callable[[], Any], count: int) -> Measure:
        return timed(work, device, count)

    measures = {
        "copy": per_byte(lambda: target.copy_(source), 2 * COPIED),
        "ours": per_byte(ours, num_bytes * NUM_DECODED),
        "transformers": per_byte(theirs, num_bytes * NUM_DECODED),
    }
    timings = bench.time("decoding", measures, "ours")
    millions = round(num_parameters / 1e6)
    what = f"cached decoding, {millions} M parameters, batch 1: weight bytes/s / copied bytes/s"
    goal = bench.aim(0.60, 0.70)
    ours_rate, peer = (timings.ratio("copy", name) for name in ("ours", "transformers"))
    bench.row(9, what, ours_rate, goal, timings, peer=peer, limit=1.0, at_least=True)
    bench.details["tokens/s"] = 1 / (timings.time("ours").median * num_bytes)


def forced(bench: Bench, system: CodecLM) -> None:
    """Share of tokens of files that are the only legal one, and so need no model."""
    rules, codec = system.rules, system.codec
    assert isinstance(codec, JpegCodec)
    num_forced, num_tokens = 0, 0
    for image in images(codec, NUM_FILES):
        state = rules.start
        for token in system.tokenizer.encode(codec.text(image)):
            num_forced += int(rules.legal(state, BUDGET).sum() == 1)
            num_tokens += 1
            state = rules.advance(state, token)
    bench.details["share of tokens that are forced"] = num_forced / num_tokens


def measure(bench: Bench) -> None:
    """Costs of encoding, tokenisation, packing, grammar and cached decoding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    built = configured([DIGITS])
    system = built.model
    assert isinstance(system, CodecLM)
    system.configure_model()
    system.eval()
    encoding(bench)
    tokens(bench, system)
    packing(bench, built.datamodule)
    grammar(bench, system)
    forced(bench, system)
    torch.set_num_threads(threads)
    decoding(bench)


if __name__ == "__main__":
    run("codec", measure)
