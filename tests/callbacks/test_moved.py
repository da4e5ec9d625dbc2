import warnings

import pytest
import torch

from callbacks.moved import mean_share, probes, would_move
from tests.fixtures.runs import fit, metrics, write_config


def test_a_step_moves_what_it_moves_in_bfloat16():
    torch.manual_seed(0)
    weight = (torch.randn(4000) * torch.exp2(torch.randint(-12, 3, (4000,)))).bfloat16()
    for step in (1e-5, 1e-3, 0.0021, 0.1):
        up, down = (weight.float() + s * step for s in (1, -1))
        is_moved = would_move(weight, step)
        # towards zero the numbers may lie closer
        is_certain = (up.bfloat16() != weight) == (down.bfloat16() != weight)
        assert is_certain.float().mean() > 0.95
        assert torch.equal(is_moved[is_certain], (up.bfloat16() != weight)[is_certain])


def test_large_parameters_count_more_and_are_looked_at_to_the_end():
    large, small = torch.zeros(1000, 1000), torch.zeros(10)
    large[500:] = 1.0
    share = mean_share([(large, probes(large) > 0), (small, probes(small) == 0)])
    assert share == pytest.approx((0.5 * 1e6 + 10) / (1e6 + 10), abs=2e-3)
    assert mean_share([]) is None


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def moved_in_training(config, precision, rate):
    """Warnings about rounding, and the shares in the table of a run."""
    flags = [f"--trainer.precision={precision}", f"--model.init_args.optimizer.init_args.lr={rate}"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(config, *flags, "--trainer.max_steps=3")
    said = [str(warning.message) for warning in caught if "rounded away" in str(warning.message)]
    return said, [row.get("train/moved") for row in metrics(run)]


def test_a_rate_that_bfloat16_cannot_follow_is_told_at_the_start_and_in_every_report(config):
    said, moved = moved_in_training(config, "bf16-true", 1e-6)
    assert len(said) == 1
    assert "(1.0e-06 at most) is rounded away in 9" in said[0]
    assert all(share < 0.3 for share in moved)
    said, moved = moved_in_training(config, "bf16-true", 1e-2)
    assert not said
    assert all(share > 0.7 for share in moved[1:])
    said, moved = moved_in_training(config, "bf16-mixed", 1e-6)
    assert not said
    assert moved == [None] * 3
