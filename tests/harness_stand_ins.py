"""Models of the lm-evaluation-harness: combined branches, and its own of transformers."""

import pytest

from modules.decoding.branches import Branch, Branches, context_aware
from modules.decoding.decoder import Decoder
from modules.decoding.tasks import SplitAt, Verbatim

try:
    from modules.decoding.harness import Combined
except ModuleNotFoundError as error:
    HAS_HARNESS, WHY = False, str(error)
else:
    HAS_HARNESS, WHY = True, ""

needs_harness = pytest.mark.skipif(not HAS_HARNESS, reason=WHY or "never")


def instances(kind, rows):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, tuple(row), n) for n, row in enumerate(rows)]


def plain(model, tokenizer, **options):
    branches = Branches((Branch(model, tokenizer, Verbatim("{question}")),))
    return Combined(Decoder(branches), **options)


def theirs(model, tokenizer, max_length=64, **options):
    """The harness's own model."""
    from lm_eval.models.huggingface import HFLM

    how = {"batch_size": 3, "max_length": max_length, **options}
    return HFLM(pretrained=model, tokenizer=tokenizer, **how)


def cad(model, tokenizer, alpha=1.0, **options):
    prompts = Verbatim("{context}{question}"), Verbatim("{question}")
    decoder = Decoder(context_aware(model, tokenizer, *prompts, alpha))
    return Combined(decoder, SplitAt("Q:"), **options)
