import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claims.decoding.word_tokens import END, IGNORED, Spelled, batch, spell, tokenizer_of

WORDS = ["a", "ab", "abc", "ca", "\n\n", " ", "[", ".", "Is it?", "\u2019"]
TOKENIZER = tokenizer_of(WORDS)


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_texts_of_its_words_come_back_letter_by_letter(words):
    text = "".join(words)
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text


def test_the_longest_word_wins_and_the_end_is_number_nought():
    assert TOKENIZER.tokenize("abca") == ["abc", "a"]
    assert TOKENIZER.tokenize("caab") == ["ca", "ab"]
    assert len(TOKENIZER) == len(WORDS) + 1
    assert TOKENIZER.encode(END, add_special_tokens=False) == [0]
    assert TOKENIZER.eos_token_id == TOKENIZER.pad_token_id == 0


def test_pieces_are_asked_or_not_token_by_token():
    ids, is_asked = spell(TOKENIZER, [("ab a", False), (f" [{END}", True)])
    assert TOKENIZER.convert_ids_to_tokens(ids) == ["ab", " ", "a", " ", "[", END]
    assert is_asked == [False] * 3 + [True] * 3


def test_a_text_of_other_words_is_refused():
    with pytest.raises(ValueError, match="'a dog' is not made of the tokenizer's words"):
        spell(TOKENIZER, [("a dog", True)])


def test_a_batch_labels_only_what_is_asked():
    token_BL, label_BL = batch([Spelled([3, 4, 5], [False, True, True]), Spelled([6], [True])])
    assert torch.equal(token_BL, torch.tensor([[3, 4, 5], [6, 0, 0]]))
    skipped = IGNORED
    assert torch.equal(label_BL, torch.tensor([[skipped, 4, 5], [6, skipped, skipped]]))
