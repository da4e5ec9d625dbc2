"""Logits of texts from those of their windows, and the weighted loss."""

import pytest
import torch

from modules.classifier.loss import classification_loss, text_logits
from tests.fixtures.classifier_logits import drawn


def test_texts_have_the_mean_of_their_windows():
    logits, windows = torch.randn(7, 3), [2, 1, 4]
    logits_of_texts = text_logits(logits, windows)
    at = 0
    for n, num in enumerate(windows):
        assert torch.allclose(logits_of_texts[n], sum(logits[at : at + num]) / num)
        at += num
    assert text_logits(logits[:2], [0, 2])[0].isnan().all()


def test_the_loss_is_a_sum_of_weighted_errors():
    logits, label = drawn(9, 3, 0)
    weight = torch.tensor([0.5, 1.0, 2.0])
    loop = -sum(weight[y] * logits[n].log_softmax(0)[y] for n, y in enumerate(label.tolist()))
    assert classification_loss(logits, label, weight).item() == pytest.approx(loop.item(), rel=1e-5)
    plain = classification_loss(logits, label)
    assert torch.allclose(plain, classification_loss(logits, label, torch.ones(3)))
