import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from engine.commands import tokenizer as module
from engine.commands.tokenizer import TrainTokenizer, reported, train_tokenizer
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
