"""What every kind of value becomes in JSON."""

import json
import math
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import torch

from engine.disk.strict_json import dumps

NAN, INF = math.nan, math.inf
Pair = namedtuple("Pair", "left right")


PAIR = {"left": 1, "right": None}


class Colour(Enum):
    RED = "red"


@dataclass
class Held:
    score: torch.Tensor
    inner: Pair


def no_json(word):
    raise AssertionError(f"{word} is not JSON")


def read(text):
    return json.loads(text, parse_constant=no_json)


KINDS = {
    "plain": ([None, True, 3, 0.1, "ü"], [None, True, 3, 0.1, "ü"]),
    "no numbers": ([NAN, INF, -INF], [None] * 3),
    "keys": ({1: NAN, None: 2}, {"1": None, "None": 2}),
    "complex": ([1 + 2j, complex(NAN, 1)], [[1.0, 2.0], [None, 1.0]]),
    "tensor": (torch.tensor([[1.5, NAN], [INF, 2]]), [[1.5, None], [None, 2.0]]),
    "integers": (torch.tensor([1, 2]), [1, 2]),
    "truths": (torch.tensor(True), True),
    "bfloat16": (torch.tensor([1.5, NAN], dtype=torch.bfloat16), [1.5, None]),
    "float8": (torch.tensor([1.5]).to(torch.float8_e4m3fn), [1.5]),
    "conjugate": (torch.tensor([1 + 2j]).conj(), [[1.0, -2.0]]),
    "sparse": (torch.eye(2).to_sparse(), [[1.0, 0.0], [0.0, 1.0]]),
    "parameter": (torch.nn.Parameter(torch.ones(1)), [1.0]),
    "array": (np.array([1.0, NAN], np.float16), [1.0, None]),
    "long double": (np.array([1.5], np.longdouble), [1.5]),
    "complex array": (np.array([1j], np.complex64), [[0.0, 1.0]]),
    "objects": (np.array([1, NAN, "a"], object), [1, None, "a"]),
    "a structure": (np.array([(1, NAN)], [("a", int), ("b", float)]), [[1, None]]),
    "scalars": (
        [np.float32(0.5), np.float64(NAN), np.int8(3), np.bool_(True)],
        [0.5, None, 3, True],
    ),
    "instants": (np.array(["2024-05-06"], "datetime64[D]"), ["2024-05-06"]),
    "times": (datetime(2024, 5, 6, tzinfo=UTC), "2024-05-06T00:00:00+00:00"),
    "a while": (timedelta(seconds=90), "0:01:30"),
    "members": (Colour.RED, "red"),
    "fractions": ([Decimal("0.5"), Fraction(1, 4), Decimal("NaN")], [0.5, 0.25, None]),
    "texts": ([Path("a/b"), torch.float32, torch.device("cpu")], ["a/b", "torch.float32", "cpu"]),
    "identifier": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "lists": ([(1,), {2}, frozenset([3]), range(2)], [[1], [2], [3], [0, 1]]),
    "parts": (
        Held(torch.ones(1), Pair(1, NAN)),
        {"score": [1.0], "inner": {"left": 1, "right": None}},
    ),
    "half a pair": ("a\udc80", "a\udc80"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_value_is_strict_json(kind):
    value, wanted = KINDS[kind]
    text = dumps(value)
    text.encode()  # fits into a file
    assert read(text) == wanted
    assert read(dumps({"a": [value]})) == {"a": [wanted]}


@pytest.mark.parametrize("value", [object(), [b"bytes"], {"a": lambda: 0}, torch.nn.ReLU()])
def test_what_json_cannot_hold_is_named(value):
    with pytest.raises(TypeError, match=r"a (object|bytes|function|ReLU) cannot be written as"):
        dumps(value)


def test_finite_numbers_stay_to_the_last_bit():
    numbers = torch.rand(1000, dtype=torch.float64)
    assert read(dumps(numbers)) == numbers.tolist()
