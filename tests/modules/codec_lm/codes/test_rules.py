"""Images as a fixed number of codes."""

from functools import partial, reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands.tokenizer import train_tokenizer
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import FromConfig
from modules.codec_lm.byte_text import FIRST
from modules.codec_lm.codes.codec import CodeCodec
from modules.codec_lm.codes.pixels import PixelCodec
from modules.codec_lm.codes.rules import (
    MOST,
    FixedLength,
    codes_to_text,
    pack,
    unpack,
)
from modules.codec_lm.system import CodecLM
from tests.modules.codec_lm.test_generate import OPTIONS, prompts

CODEC = PixelCodec(8, 4, levels=5)
RULES = FixedLength(tokens=(3, 1, 2), length=4, end=0, num_tokens=6)
SEVERAL = st.sampled_from([2, 16, 256, 257, 512, 4096, MOST])


@pytest.fixture(scope="module")
def tokenizer_of_codes(tmp_path_factory):
    """As the command `tokenizer` makes it with one token more than there are codes."""
    folder = tmp_path_factory.mktemp("codes")
    texts = (codes_to_text(np.full(CODEC.length, code)) for code in range(5))
    summary = train_tokenizer(texts, 6, folder, CODEC.alphabet)
    assert summary.startswith("6 tokens from 5 documents, 1.00 bytes a token")
    return str(folder)


@pytest.fixture
def system(tokenizer_of_codes):
    torch.manual_seed(0)
    system = CodecLM(
        partial(FromConfig, model_type="llama", options=OPTIONS),
        tokenizer_of_codes,
        CODEC,
        generation=Generation(max_new_tokens=33, temperature=1.0, top_k=None),
    )
    system.configure_model()
    return system.eval()


@settings(deadline=None)
@given(SEVERAL, st.data())
def test_codes_come_back_from_bytes_and_are_a_character_each(num_kinds, data):
    codes = np.array(data.draw(st.lists(st.integers(0, num_kinds - 1))), np.int64)
    text, sequence = codes_to_text(codes), pack(codes, num_kinds)
    assert len(text) == len(codes)
    assert len(sequence) == len(codes) * (1 if num_kinds <= 256 else 2)
    assert [ord(character) - FIRST for character in text] == codes.tolist()
    assert np.array_equal(unpack(sequence, num_kinds), codes)


def test_two_bytes_stand_in_the_order_of_networks():
    assert pack(np.array([1, 256]), 257) == b"\x00\x01\x01\x00"


@pytest.mark.parametrize("num_kinds", [2, 300, 4096])
def test_a_tokenizer_of_codes_merges_nothing_and_gives_back_every_text(num_kinds, tmp_path):
    from transformers import AutoTokenizer

    alphabet = codes_to_text(np.arange(num_kinds))
    train_tokenizer(iter([alphabet * 2] * 3), num_kinds + 1, tmp_path, list(alphabet))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.encode(alphabet, add_special_tokens=False)
    assert len(set(ids)) == num_kinds
    assert tokenizer.decode(ids) == alphabet
    rules = FixedLength.of(num_kinds, 3, tokenizer)
    assert list(rules.tokens) == ids
    assert np.array_equal(unpack(rules.sequence(ids), num_kinds), np.arange(num_kinds))


def test_what_is_no_code_is_refused():
    with pytest.raises(ValueError, match=r"within \[0, 4\), got 1 to 4"):
        pack(np.array([1, 4]), 4)
    with pytest.raises(ValueError, match="2 bytes, which 3 bytes"):
        unpack(b"abc", 257)


def test_a_tokenizer_with_merges_or_too_few_codes_is_refused(system, tmp_path):
    from transformers import AutoTokenizer

    train_tokenizer(iter([CODEC.alphabet[0] * 64] * 9), 8, tmp_path, CODEC.alphabet)
    merging = AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="make the tokenizer with --vocab_size 6"):
        FixedLength.of(5, 32, merging)
    with pytest.raises(ValueError, match="2 of 7 codes are no tokens: the tokenizer has 5 codes"):
        FixedLength.of(7, 32, system.tokenizer)


def test_a_vocabulary_may_have_more_codes_than_the_codec(system):
    rules = FixedLength.of(3, 32, system.tokenizer)
    assert rules.legal(0).tolist() == [False, True, True, True, False, False]


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=4, max_size=4))
def test_four_codes_are_legal_and_then_the_end(tokens):
    state = RULES.start
    for number, token in enumerate(tokens):
        assert RULES.need(state) == 5 - number
        assert RULES.legal(state, 5 - number).tolist() == [False, True, True, True, False, False]
        state = RULES.advance(state, token)
    assert RULES.legal(state, 1).tolist() == [True, False, False, False, False, False]
    assert RULES.advance(state, 0) == state
    assert RULES.token_kinds([*tokens, 0]) == [0, 0, 0, 0, 1]
    assert RULES.token_kinds(tokens[:2]) == [0, 0]
    codes = [{3: 0, 1: 1, 2: 2}[token] for token in tokens]
    assert RULES.sequence([0, *tokens, 0]) == bytes(codes)


@pytest.mark.parametrize("tokens", [[0], [1, 0], [5], [1, 2, 3, 1, 1], [1, 2, 3, 1, 0, 1]])
def test_what_begins_no_file_has_no_names_and_leads_nowhere(tokens):
    assert RULES.token_kinds(tokens) == []
    with pytest.raises(ValueError, match=r"not legal here: \d of 4 codes are written"):
        reduce(RULES.advance, tokens, RULES.start)


def test_a_budget_that_is_too_small_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="4 tokens are left, the end needs 5"):
        RULES.legal(0, 4)


def test_every_image_of_an_untrained_model_has_all_its_codes_and_an_end(system):
    shown = np.arange(32, dtype=np.uint8).reshape(8, 4) * 8
    texts = ["", CODEC.prefix(shown, 0.25), CODEC.prefix(shown, 0.99), ""]
    records = system.predict_step(prompts(system, texts), 0)
    for record, text in zip(records, texts, strict=True):
        assert record["has_end"]
        assert record["decoder_error"] is None
        assert record["given"] == len(text)
        assert record["written"] == 32 - len(text)
        assert record["png"].startswith(b"\x89PNG")
        assert record["continuation"].shape == (8, 4, 3)
    whole = torch.tensor(CODEC.show(CODEC.encode(shown)))
    assert torch.equal(records[1]["continuation"][:2, :, 0], whole[:2])


def test_without_the_rules_images_of_an_untrained_model_are_told_to_be_broken(system):
    system.constrained = False
    records = system.predict_step(prompts(system, [""] * 8), 0)
    assert any(record["decoder_error"] for record in records)
    assert all(record["png"].startswith(b"\x89PNG") for record in records)
    assert all(record["continuation"].shape == (8, 4, 3) for record in records)


class Wide(CodeCodec):
    """Three codes of two bytes, shown as their low bytes."""

    shape = (1, 3)
    num_kinds = 300
    length = 3

    def encode(self, image):
        return image[0].astype(np.int64)

    def show(self, code_N):
        return (code_N % 256).astype(np.uint8)[None]

    def fingerprint(self):
        return "wide"


def test_a_sequence_is_whole_or_says_what_it_lacks():
    codec, whole = Wide(), pack(np.array([5, 299, 0]), 300)
    assert codec.decoder_error(whole) is None
    assert codec.decode(whole).tolist() == [[5, 43, 0]]
    assert codec.decoder_error(whole[:4]) == "2 codes, an image has 3"
    assert codec.decoder_error(whole + b"\0\1") == "4 codes, an image has 3"
    assert codec.decoder_error(whole[:5]) == "a code is 2 bytes, which 5 bytes are no multiple of."
    assert codec.decoder_error(b"\xff" * 6) == "code 65535 of 300"
    assert codec.decoder_error(b"") == "0 codes, an image has 3"
    for sequence in (b"", whole[:5], whole * 2, b"\xff" * 6):
        assert codec.file(sequence).startswith(b"\x89PNG")
        with pytest.raises(OSError, match="code"):
            codec.decode(sequence)


@given(st.floats(0, 1, exclude_max=True))
def test_a_beginning_is_the_share_of_the_codes_rounded_down(share):
    image = np.full((8, 4), 200, np.uint8)
    assert CODEC.prefix(image, share) == CODEC.text(image)[: min(int(share * 32 + 1e-9), 31)]


def test_a_share_of_all_is_refused():
    with pytest.raises(ValueError, match=r"within \[0, 1\), got 1"):
        CODEC.prefix(np.zeros((8, 4), np.uint8), 1)
