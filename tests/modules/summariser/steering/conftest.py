"""Guides, their tokenizer, and logits to steer."""

import pytest
import torch

from modules.summariser.marks import Marks
from tests.fixtures.steering import LENGTH, LONG, NUM
from tests.fixtures.summarisers import BERT, ROBERTA, save_classifier, words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A RoBERTa that tells stances."""
    path = tmp_path_factory.mktemp("guide")
    save_classifier(path, words(path, ROBERTA))
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A BERT of the same words that tells facts."""
    path = tmp_path_factory.mktemp("facts")
    save_classifier(path, words(path, BERT), "bert", ["wrong", "true"])
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return words(tmp_path_factory.mktemp("ours"), ROBERTA)


@pytest.fixture(scope="module")
def case(tokenizer):
    """Logits whose last positions are padding, by another number in each, and padded articles."""
    torch.manual_seed(0)
    pad = Marks.of(tokenizer).pad
    logits = 2 * torch.randn(NUM, LENGTH, len(tokenizer))
    logits[..., [pad, Marks.of(tokenizer).end]] = -9  # no text ends but by its padding
    lengths = [5, 3, 4, 1]
    for b, length in enumerate(lengths):
        logits[b, length:, pad] = 9
    article = torch.randint(5, len(tokenizer), (NUM, LONG))
    article[:, 0] = Marks.of(tokenizer).start
    mask = torch.arange(LONG) < torch.tensor([7, 2, 5, 6])[:, None]
    return logits, lengths, article.where(mask, pad), mask
