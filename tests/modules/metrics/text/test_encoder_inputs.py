import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from modules.metrics.text.encoder_inputs import MASK, batches, longest_input, padded, tokenised
from tests.fixtures.tiny_encoders import save_bert, save_roberta, save_t5, word_tokenizer


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 7))
def test_batches_hold_every_index_once_longest_first(lengths, batch_size):
    batched = batches(lengths, batch_size)
    assert sorted(i for batch in batched for i in batch) == list(range(len(lengths)))
    ordered = [lengths[i] for batch in batched for i in batch]
    assert ordered == sorted(lengths, reverse=True)
    assert all(len(batch) == batch_size for batch in batched[:-1])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    word_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_only_texts_that_are_too_long_are_cut_and_counted(tokenizer):
    texts = ["the cat", "the cat sat on the mat", "", "a b c d"]
    rows, num_cut = tokenised(tokenizer, texts, 6)
    assert num_cut == 1
    whole = [tokenizer(text)["input_ids"] for text in texts]
    assert [row["input_ids"] for row in rows] == [
        whole[0],
        [*whole[1][:5], whole[1][-1]],
        whole[2],
        whole[3],
    ]
    assert rows[1][MASK] == [1, 0, 0, 0, 0, 1]


def test_of_a_pair_the_longer_text_is_cut(tokenizer):
    rows, num_cut = tokenised(tokenizer, ["red hill"], 8, ["the cat sat on the mat"])
    assert num_cut == 1
    assert rows[0]["input_ids"] == tokenizer("red hill", "the cat sat")["input_ids"]


def test_padding_is_no_text(tokenizer):
    rows, _ = tokenised(tokenizer, ["cat", "the cat sat"], 9)
    inputs, is_text = padded(tokenizer, rows, torch.device("cpu"))
    assert is_text.tolist() == [
        [False, True, False, False, False],
        [False, True, True, True, False],
    ]
    assert inputs["attention_mask"].sum(1).tolist() == [3, 5]
    assert MASK not in inputs


@pytest.mark.parametrize(("save", "limit"), [(save_bert, 64), (save_roberta, 62), (save_t5, None)])
def test_an_encoder_holds_as_many_tokens_as_it_has_positions(tmp_path, save, limit):
    folder = save(tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    assert longest_input(tokenizer, model) == (limit or tokenizer.model_max_length)
    tokenizer.model_max_length = 20
    assert longest_input(tokenizer, model) == 20
