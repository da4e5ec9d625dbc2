"""Nats by the kind of a byte."""

import numpy as np
import torch

from modules.codec_lm.jpeg.byte_kinds import JPEG, byte_kinds
from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.token_grammar import TokenGrammar
from modules.codec_lm.token_kinds import NOTHING, kind_sums, label_kinds
from tests.modules.codec_lm.jpeg.test_grammar import image

CODEC = JpegCodec(16, 16, sampling="grey", keep_header=False)
END = 256
BYTES = TokenGrammar(CODEC.grammar, [*(bytes([b]) for b in range(256)), None], END, JPEG)
NAMES = BYTES.kinds


def files(num):
    rng = np.random.default_rng(0)
    return [list(CODEC.encode(image(CODEC, rng))) for _ in range(num)]


def test_packed_files_are_named_one_by_one():
    first, second = files(2)
    labels = [*first, END, *second, END, -100, -100]
    positions = [*range(len(first) + 1), *range(len(second) + 1), 0, 1]
    kinds = label_kinds(BYTES, torch.tensor([labels]), torch.tensor([positions]))[0]
    named = [NAMES[n] if n != NOTHING else None for n in kinds.tolist()]
    wanted = [byte_kinds(CODEC.grammar, bytes(file)) for file in (first, second)]
    assert named == [*wanted[0], "finish", *wanted[1], "finish", None, None]


def test_a_piece_from_the_middle_of_a_file_has_no_classes():
    (file,) = files(1)
    assert BYTES.token_kinds([0xFF, 0xD9, *file]) == []


def test_sums_of_classes_are_the_sum_of_all():
    generator = torch.Generator().manual_seed(0)
    nats = torch.rand(3, 50, generator=generator)
    number = torch.randint(-1, len(NAMES), (3, 50), generator=generator)
    sums = kind_sums(nats, number, len(NAMES))
    assert sums[1].sum() == (number >= 0).sum()
    torch.testing.assert_close(sums[0].sum(), nats[number >= 0].double().sum())
    for n in range(len(NAMES)):
        torch.testing.assert_close(sums[0, n], nats[number == n].double().sum())
