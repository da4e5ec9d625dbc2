import pytest
import torch

from callbacks.ema import EMA, trainable
from tests.fixtures.runs import fit, write_config


class Run:
    """As much of a trainer as the callback looks at."""

    global_step = 0


def module():
    system = torch.nn.Linear(2, 2)
    system.bias.requires_grad_(False)
    return system


def train(ema, run, system, values):
    for value in values:
        run.global_step += 1
        with torch.no_grad():
            system.weight.fill_(value)
        ema.on_train_batch_end(run, system, None, None, 0)


def test_the_average_is_the_formula_and_moves_only_with_steps():
    ema, run, system = EMA(decay=0.9, warmup=False), Run(), module()
    torch.nn.init.constant_(system.weight, 1.0)
    ema.on_train_start(run, system)
    train(ema, run, system, [2.0, 3.0])
    ema.on_train_batch_end(run, system, None, None, 0)  # accumulating: no step was taken
    expected = 0.9 * (0.9 * 1.0 + 0.1 * 2.0) + 0.1 * 3.0
    torch.testing.assert_close(ema.average["weight"], torch.full((2, 2), expected))
    assert ema.average.keys() == {"weight"}


def test_early_steps_average_less():
    ema = EMA(decay=0.999)
    ema.num_updates = 1
    assert ema.current_decay() == 2 / 11
    ema.num_updates = 10**6
    assert ema.current_decay() == 0.999


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    ema, run, system = EMA(decay=0.5, warmup=False), Run(), module()
    torch.nn.init.constant_(system.weight, 0.0)
    ema.on_train_start(run, system)
    train(ema, run, system, [1.0])
    ema.on_validation_start(run, system)
    assert system.weight.eq(0.5).all()
    ema.on_validation_end(run, system)
    assert system.weight.eq(1.0).all()


def test_the_average_is_saved_restored_and_used_by_validate(tmp_path, text_file, tokenizer_folder):
    from cli import main
    from tests.fixtures.runs import newest_run
    from tests.modules.causal_lm.test_system import validation_row

    config = write_config(tmp_path, text_file, tokenizer_folder)
    ema = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.5}}'
    run = fit(config, ema, "--trainer.val_check_interval=4")
    last = run / "checkpoints" / "last.ckpt"
    saved = torch.load(last, weights_only=True)
    weights = saved["ema"]["weights"]
    assert saved["ema"]["num_updates"] == 4
    assert any(not torch.equal(weights[name], saved["state_dict"][name]) for name in weights)

    rows = []
    for extra in ([ema], []):
        main(["validate", f"--config={config}", f"--ckpt_path={last}", *extra])
        rows.append(validation_row(newest_run(config))["validate/loss"])
    assert rows[0] == pytest.approx(validation_row(run)["validate/loss"], rel=1e-9)
    assert rows[0] != rows[1]


def test_a_decay_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1.0"):
        EMA(decay=1.0)


def test_only_trainable_parameters_are_averaged():
    assert trainable(module()).keys() == {"weight"}
