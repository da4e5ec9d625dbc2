"""Learning rates are those of torch in a fresh run, and of the config in a resumed one."""

import pytest
import torch
import yaml

from tests.fixtures.runs import fit, metrics, refused, write_config
from tests.test_resume import resume, same_checkpoint, steps

OPTIM = "torch.optim.lr_scheduler"
SCHEDULES = [
    ("OneCycleLR", {"max_lr": 0.01, "total_steps": 8}),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 4}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 2}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ("CyclicLR", {"base_lr": 0.001, "max_lr": 0.01, "step_size_up": 2, "cycle_momentum": False}),
    ("ExponentialLR", {"gamma": 0.9}),
]
NAMED = [
    pytest.param(case, id=case[0], marks=[pytest.mark.slow] if i else [])
    for i, case in enumerate(SCHEDULES)
]


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def given(config, schedule, optimizer="torch.optim.AdamW", **init_args):
    """The config with another schedule, and perhaps another optimizer."""
    content = yaml.safe_load(config.read_text())
    name, options = schedule
    path = name if "." in name else f"{OPTIM}.{name}"
    content["model"]["init_args"] |= {
        "scheduler": {"class_path": path, "init_args": options},
        "optimizer": {"class_path": optimizer, "init_args": {"lr": 0.003} | init_args},
    }
    config.write_text(yaml.safe_dump(content))
    return config


def rates(run):
    return [row["learning_rate"] for row in metrics(run)]


def rates_of_torch(schedule, num_steps, lr=0.003):
    """What each step of a loop of one's own uses under torch's schedule."""
    name, options = schedule
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    made = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    learning_rates = []
    for _ in range(num_steps):
        learning_rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return learning_rates


@pytest.mark.parametrize("schedule", NAMED)
def test_a_fresh_run_has_the_rates_of_torch(config, schedule):
    run = fit(given(config, schedule), steps(6))
    assert rates(run) == pytest.approx(rates_of_torch(schedule, 6), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES[:3], ids=[name for name, _ in SCHEDULES[:3]])
def test_a_resumed_run_of_the_same_config_is_the_uninterrupted_one(config, schedule):
    config = given(config, schedule)
    whole = fit(config, steps(6))
    resumed = resume(config, fit(config, steps(3)), steps(6))
    assert rates(resumed) == rates(whole)[3:]
    same_checkpoint(whole, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES[:3], ids=[name for name, _ in SCHEDULES[:3]])
def test_a_resumed_run_of_a_changed_config_has_the_rates_of_a_fresh_one(config, schedule):
    first = fit(given(config, schedule), steps(3))
    name, options = schedule
    other = (name, {key: value * 2 for key, value in options.items()})
    resumed = resume(given(config, other, lr=0.006), first, steps(6))
    assert rates(resumed) == pytest.approx(rates_of_torch(other, 6, 0.006)[3:], rel=1e-12)


@pytest.mark.slow
def test_a_schedule_that_watches_is_stepped_by_validations(config):
    """The loss is watched for its rise, which never comes: no patience halves at every look."""
    watching = (
        "engine.optim.schedules.Plateau",
        {"monitor": "validate/loss", "mode": "max", "patience": 0, "factor": 0.5},
    )
    parts = ["--trainer.val_check_interval=2"]
    config = given(config, watching)
    whole = fit(config, steps(8), *parts)
    assert rates(whole) == pytest.approx([0.003] * 4 + [0.0015] * 2 + [0.00075] * 2)
    resumed = resume(config, fit(config, steps(5), *parts), steps(8), *parts)
    assert rates(resumed) == rates(whole)[5:]
    same_checkpoint(whole, resumed)


def test_a_schedule_that_does_not_say_what_it_watches_is_refused(config, capsys):
    with pytest.raises(SystemExit, match="2"):
        fit(given(config, ("ReduceLROnPlateau", {})))
    assert "take engine.optim.schedules.Plateau" in capsys.readouterr().err


@pytest.mark.slow
def test_what_it_watches_must_be_there(config):
    watching = ("engine.optim.schedules.Plateau", {"monitor": "validate/los"})
    message = (
        "Plateau monitors validate/los, which a validation does not give; did you mean validate/"
    )
    with refused(message):
        fit(given(config, watching), "--trainer.val_check_interval=2")


@pytest.mark.slow
def test_another_optimizer_does_not_take_over_a_memory(config):
    first = fit(given(config, SCHEDULES[1]))
    with refused(r"was trained by .*AdamW.* SGD"):
        resume(given(config, SCHEDULES[1], "torch.optim.SGD"), first, steps(6))


@pytest.mark.slow
def test_a_scheduled_accumulation_trains_as_a_fixed_one(config):
    """README: accumulation can be exchanged without changing what is trained."""
    small = "--data.init_args.batch_size=2"
    scheduled = (
        '--trainer.callbacks+={"class_path": '
        '"lightning.pytorch.callbacks.GradientAccumulationScheduler", '
        '"init_args": {"scheduling": {"0": 2}}}'
    )
    fixed = fit(config, steps(5), small, "--trainer.accumulate_grad_batches=2")
    run = fit(config, steps(5), small, scheduled)
    norms = [[row["train/gradient_norm"] for row in metrics(folder)] for folder in (run, fixed)]
    assert norms[0] == norms[1]
    same_checkpoint(run, fixed)
    same_checkpoint(
        run, resume(config, fit(config, steps(3), small, scheduled), steps(5), small, scheduled)
    )
