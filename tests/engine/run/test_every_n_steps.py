import pytest
import torch

from engine.run.every_n_steps import StepCheckpoints
from tests.fixtures.runs import fit, losses, write_config


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def saving(every, keep=-1):
    arguments = f'{{"every_n_steps": {every}, "keep": {keep}}}'
    callback = (
        f'{{"class_path": "engine.run.every_n_steps.StepCheckpoints", "init_args": {arguments}}}'
    )
    return f"--trainer.callbacks+={callback}"


def replaced(config):
    """The config with no checkpoints of its own."""
    text = config.read_text()
    config.write_text(
        text.replace("trainer:\n", "trainer:\n  callbacks:\n  - callbacks.report.Report\n")
    )
    return config


def test_the_end_of_a_run_is_saved_whatever_the_interval(config):
    run = fit(replaced(config), saving(3), "--trainer.max_steps=7")
    folder = run / "checkpoints"
    names = sorted(p.name for p in folder.glob("*.ckpt"))
    assert names == ["last.ckpt", *(f"step_{n:07d}.ckpt" for n in (3, 6, 7))]
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 7


def test_only_the_newest_are_kept_where_asked(config):
    run = fit(replaced(config), saving(1, keep=2), "--trainer.max_steps=5")
    names = sorted(p.name for p in (run / "checkpoints").iterdir() if not p.is_symlink())
    expected = [f"step_{n:07d}.ckpt" for n in (4, 5)]
    assert names == sorted([*expected, *(f"{name}.json" for name in expected)])


def test_a_run_that_was_killed_goes_on_from_its_last_interval(config):
    whole = fit(replaced(config), saving(5), "--trainer.max_steps=12")
    middle = whole / "checkpoints" / "step_0000005.ckpt"
    resumed = fit(config, f"--ckpt_path={middle}", "--trainer.max_steps=12", saving(5))
    assert losses(resumed) == losses(whole)[5:]
    ends = [
        torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (whole, resumed)
    ]
    for key in ("state_dict", "optimizer_states", "TextData"):
        torch.testing.assert_close(ends[0][key], ends[1][key], rtol=0, atol=0)


def test_a_number_to_keep_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="got 0"):
        StepCheckpoints(keep=0)
