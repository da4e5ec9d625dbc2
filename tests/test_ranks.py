from pathlib import Path

import pytest
import torch

from tests.runs import fit, fit_on_ranks, losses, metrics, weights, write_config

STRATEGY = Path(__file__).parent.parent / "configs" / "strategy"
NO_DROPOUT = "--model.init_args.network.init_args.options.attention_dropout=0.0"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_train_as_one_process(config, strategy):
    """The same rows, halved over ranks, with unequal numbers of targets on them."""
    alone = fit(config, NO_DROPOUT)
    layers = [f"--config={STRATEGY / strategy}.yaml", "--data.init_args.batch_size=2"]
    together = fit_on_ranks(config, 2, *layers, NO_DROPOUT)
    assert losses(together) == pytest.approx(losses(alone), rel=1e-5)
    norms = [[row["train/gradient_norm"] for row in metrics(run)] for run in (alone, together)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    expected, actual = weights(alone), weights(together)
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-3, atol=1e-5)
