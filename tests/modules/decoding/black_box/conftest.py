import pytest

from modules.decoding.black_box.decode import BlackBox, ProxySampling
from modules.decoding.black_box.offsets import LocalOffsets
from modules.decoding.black_box.token_strings import TokenStrings
from modules.decoding.black_box.top_logprobs import (
    TextTopLogprobs,
)
from modules.endpoint.client import Endpoint
from tests.fixtures.endpoint import byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def parts():
    """Tokenizer, its token strings, base, expert, anti-expert."""
    tokenizer = byte_tokenizer()
    models = [
        tiny_model(kind, len(tokenizer), seed, scale)
        for kind, seed, scale in (("gpt2", 0, 20.0), ("llama", 1, 8.0), ("llama", 2, 8.0))
    ]
    return tokenizer, TokenStrings(tokenizer), *models


@pytest.fixture
def box(parts):
    """Makes a black box of a served base."""
    tokenizer, token_strings, _, expert, antiexpert = parts

    def make(served, num=5, as_ids=True, alpha=1.0, top_logprobs=None, **sampling):
        base = top_logprobs or TextTopLogprobs(
            Endpoint(served.url, "tiny"), num, tokenizer if as_ids else None
        )
        offsets = LocalOffsets(expert, antiexpert, tokenizer, alpha)
        return BlackBox(
            base, offsets, token_strings, ProxySampling(**{"max_new_tokens": 8} | sampling)
        )

    return make
