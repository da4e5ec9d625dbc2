"""Which local token an endpoint means."""

import json

import pytest

from modules.decoding.black_box.token_strings import TokenStrings
from modules.endpoint.next_tokens import Candidate
from tests.fixtures.endpoint import END, byte_tokenizer, piece_tokenizer


@pytest.fixture(scope="module")
def bytes_of_text():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def pieces():
    return piece_tokenizer()


def written(token, raw=None):
    return Candidate(token, -1.0, raw)


def piece(tokenizer, text):
    return tokenizer.convert_tokens_to_ids(text)


def test_every_token_of_bytes_is_found_by_its_bytes(bytes_of_text):
    token_strings = TokenStrings(bytes_of_text)
    for i in range(len(bytes_of_text)):
        raw = token_strings.raw[i]
        assert token_strings.id(written(raw.decode("utf-8", "replace"), raw)) == i


def test_strings_of_texts_and_of_the_vocabulary_are_found(bytes_of_text):
    token_strings = TokenStrings(bytes_of_text)
    the = piece(bytes_of_text, "Ġthe")
    assert token_strings.id(written(" the")) == token_strings.id(written("Ġthe")) == the
    assert token_strings.id(written(END)) == bytes_of_text.eos_token_id
    assert token_strings.id(written("no such token")) is None


def test_parts_of_characters_are_not_guessed_at_but_read_from_bytes(bytes_of_text):
    token_strings = TokenStrings(bytes_of_text)
    part = piece(bytes_of_text, "Ã")  # the byte C3
    assert token_strings.raw[part] == b"\xc3"
    assert not token_strings.is_whole(part)
    assert token_strings.id(written("\ufffd")) is None
    assert token_strings.id(written("\ufffd", "\ufffd".encode())) is None  # as lossy as the string
    assert token_strings.id(written("\ufffd", b"\xc3")) == part
    assert token_strings.id(written("bytes:\\xc3")) == part


def test_numbers_are_taken_at_their_word(bytes_of_text):
    token_strings = TokenStrings(bytes_of_text)
    assert token_strings.id(written("token_id:7")) == 7
    assert token_strings.id(written(f"token_id:{len(bytes_of_text)}")) is None


def test_a_lost_space_makes_a_string_ambiguous(pieces):
    careful, exact = TokenStrings(pieces), TokenStrings(pieces, forms=("text",))
    assert careful.id(written("true")) is None  # `▁true` decoded by itself is the same
    assert exact.id(written("true")) == piece(pieces, "true")
    for token_strings in (careful, exact):
        assert token_strings.id(written(" true")) == piece(pieces, "▁true")
    assert careful.id(written("▁true")) == piece(pieces, "▁true")
    assert careful.id(written("true", b" true")) == piece(pieces, "▁true")
    assert (
        careful.id(written("true", b"true")) is None
    )  # the string's bytes give no more information


def test_byte_tokens_give_way_to_letters_but_are_there_for_bytes(pieces):
    token_strings = TokenStrings(pieces)
    assert token_strings.ids("A") == [piece(pieces, "A")]
    assert token_strings.ids(" A") == [piece(pieces, "▁A")]
    assert token_strings.id(written("\ufffd", b"\xc3")) == piece(pieces, "<0xC3>")
    assert token_strings.id(written("Q")) == piece(pieces, "<0x51>")


def test_texts_are_joined_by_bytes(bytes_of_text, pieces):
    for tokenizer, text in ((bytes_of_text, " the Bär saß"), (pieces, " true A ürt")):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert TokenStrings(tokenizer).text(ids).strip() == text.strip()
    part = piece(bytes_of_text, "Ã")
    assert TokenStrings(bytes_of_text).text([part]) == "\ufffd"


def test_ids_behind_a_gap_are_known():
    from modules.decoding.branches.vocabulary import strings

    tokenizer = byte_tokenizer()
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    last = max(data["model"]["vocab"], key=data["model"]["vocab"].get)
    data["model"]["vocab"][last] = 400
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    moved = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)))
    assert strings(moved)[400] == last
    text = moved.decode([400])
    assert 400 in TokenStrings(moved).ids(text)
