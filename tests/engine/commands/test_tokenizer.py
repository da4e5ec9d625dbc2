import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from engine.commands import tokenizer as module
from engine.commands.tokenizer import (
    TrainTokenizer,
    reported,
    train_tokenizer,
    train_word_tokenizer,
)
from engine.run.trainer import Trainer


class Words:
    """Texts, of which there is no end."""

    def training_documents(self):
        yield from iter(lambda: "one text", None)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_every_text_comes_back(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text


def test_a_document_starts_and_ends_with_the_end_of_text(tokenizer):
    assert len(tokenizer) == 300
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0


def test_no_more_than_the_first_documents_are_read(tmp_path, capsys):
    trainer = Trainer(accelerator="cpu", logger=False)
    TrainTokenizer().run(trainer, None, Words(), str(tmp_path), 260, num_documents=7)
    assert "from 7 documents" in capsys.readouterr().out
    with pytest.raises(ValueError, match="num_documents must be at least 1, got 0"):
        TrainTokenizer().run(trainer, None, Words(), str(tmp_path), 260, num_documents=0)


def test_too_small_a_vocabulary_and_no_text_are_refused(tmp_path):
    with pytest.raises(ValueError, match="got 256"):
        train_tokenizer(iter(["text"]), 256, tmp_path)
    with pytest.raises(ValueError, match="no text"):
        train_tokenizer(iter([]), 300, tmp_path)


def test_texts_are_counted_aloud_while_they_are_read(monkeypatch, capsys):
    now = iter(range(100))
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    assert list(reported(iter("abcdef"), seconds=2)) == list("abcdef")
    assert capsys.readouterr().out.splitlines() == ["3 texts read", "6 texts read"]


def test_a_tokenizer_of_words_gives_texts_of_known_words_back(tmp_path):
    texts = ["The cat sat, on Monday.", "The cat: it sat."]
    train_word_tokenizer(iter(texts), 100, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer(texts[0])["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == "The cat sat , on Monday .".split()
    marked = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert tokenizer.decode(marked, skip_special_tokens=True) == texts[0]
    assert tokenizer("a dog")["input_ids"] == [tokenizer.unk_token_id] * 2


def test_a_tokenizer_of_words_keeps_the_most_frequent_and_tells_what_is_unknown(tmp_path):
    told = train_word_tokenizer(iter(["one one two", "one two three"]), 6, tmp_path)
    assert told == f"6 words from 2 documents, 1 unknown in the last 2: {tmp_path}"
    with pytest.raises(ValueError, match="more than 4, got 4"):
        train_word_tokenizer(iter(["one"]), 4, tmp_path)
    with pytest.raises(ValueError, match="no text"):
        train_word_tokenizer(iter([]), 9, tmp_path)


def test_the_command_takes_words(tmp_path, capsys):
    trainer = Trainer(accelerator="cpu", logger=False)
    TrainTokenizer().run(trainer, None, Words(), str(tmp_path), 260, num_documents=7, words=True)
    assert "6 words from 7 documents" in capsys.readouterr().out
