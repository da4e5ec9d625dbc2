import copy
from dataclasses import replace

import pytest
import torch

from datamodules.in_context.pool import DocumentPool
from datamodules.synthetic.patterns.source import PatternText
from datamodules.text.tokenizer import load_tokenizer
from modules.causal_lm.network import LanguageModel
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.training import train_on
from tests.fixtures.document_gradients import tiny_model

OPTIONS = SelectionOptions(k=1, learning_rate=1e-2, documents_per_step=6, rows_per_batch=6)
NUM = 18


@pytest.fixture
def pool(tmp_path):
    tokenizer = load_tokenizer("assets/patterns_words")
    return DocumentPool([PatternText(NUM, seed=3)], tokenizer, tmp_path / "cache", 40, 0.0)


def trained_by(pool, options, dtype=torch.float64):
    network = LanguageModel(tiny_model("opt", dtype=dtype, vocabulary=256)).eval()
    before = copy.deepcopy(network)
    train_on(network, pool, range(NUM), options)
    pairs = zip(network.parameters(), before.parameters(), strict=True)
    return torch.cat([(after - first).detach().double().flatten() for after, first in pairs])


def test_rows_at_once_do_not_change_what_is_learnt(pool):
    whole, parts = (trained_by(pool, replace(OPTIONS, rows_per_batch=n)) for n in (6, 4))
    assert whole.abs().max() > 1e-2
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-8)


def test_weights_in_bfloat16_learn_what_is_rounded_away_in_each_single_step(pool):
    slow = replace(OPTIONS, learning_rate=1e-4, documents_per_step=1)  # half a unit at 0.05
    exact, coarse = (trained_by(pool, slow, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert torch.cosine_similarity(exact, coarse, dim=0) > 0.8
    assert coarse.norm() == pytest.approx(float(exact.norm()), rel=0.2)
