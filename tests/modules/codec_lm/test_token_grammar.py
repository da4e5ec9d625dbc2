"""Tokens of several bytes under the grammar of bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.codec_lm.byte_text import ALPHABET, bytes_to_text, text_to_bytes
from modules.codec_lm.jpeg.byte_kinds import JPEG
from modules.codec_lm.jpeg.codec import JpegCodec
from modules.codec_lm.token_grammar import TokenGrammar

CODEC = JpegCodec(16, 32)
END = 256


def vocabulary(seed=0, num=60):
    """All bytes, the end, and words cut out of real files."""
    rng = np.random.default_rng(seed)
    words = [bytes([byte]) for byte in range(256)] + [None]
    known = set(words)
    while len(words) < 257 + num:
        image = rng.integers(0, 256, CODEC.shape, dtype=np.uint8)
        sequence = CODEC.encode(image)
        at, size = int(rng.integers(len(sequence))), int(rng.integers(2, 12))
        word = sequence[at : at + size]
        if len(word) > 1 and word not in known:
            words.append(word)
            known.add(word)
    return words


def test_spelling_has_an_inverse_and_refuses_what_spells_nothing():
    every = bytes(range(256))
    assert text_to_bytes(bytes_to_text(every)) == every
    assert len(set(ALPHABET)) == 256
    with pytest.raises(ValueError, match="'a' stands for no byte"):
        text_to_bytes("a")


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32))
def test_a_token_is_legal_exactly_if_all_its_bytes_are(seed):
    rng = np.random.default_rng(seed)
    grammar, words = CODEC.grammar, vocabulary()
    tokens = TokenGrammar(grammar, words, END, JPEG)
    state, left = grammar.start, grammar.cost(grammar.start) + int(rng.integers(1, 60))
    while True:
        legal = tokens.legal(state, left)
        for token, word in enumerate(words):
            try:
                next_state = state if word is None else grammar.walk(state, word)
            except ValueError:
                wanted = False
            else:
                wanted = grammar.is_end(state) if word is None else True
                wanted = wanted and (word is None or grammar.cost(next_state) + 2 <= left)
            assert legal[token] == wanted, (token, word, state, left)
        token = int(rng.choice(np.flatnonzero(legal)))
        state, left = tokens.advance(state, token), left - 1
        if token == END:
            break
    assert left >= 0


def test_files_end_within_the_budget_of_tokens():
    rng = np.random.default_rng(1)
    tokens = TokenGrammar(CODEC.grammar, vocabulary(), END, JPEG)
    for more in (1, 2, 7, 40):
        budget = CODEC.grammar.cost(CODEC.grammar.start) + more
        state, written = CODEC.grammar.start, []
        while not written or written[-1] != END:
            legal = tokens.legal(state, budget - len(written))
            written.append(int(rng.choice(np.flatnonzero(legal))))
            state = tokens.advance(state, written[-1])
        assert len(written) <= budget
        CODEC.decode(b"".join(tokens.words[token] or b"" for token in written))


def test_a_vocabulary_without_all_bytes_is_refused():
    with pytest.raises(ValueError, match="1 bytes are no tokens, such as 07"):
        TokenGrammar(CODEC.grammar, [w for w in vocabulary() if w != b"\x07"], END, JPEG)
