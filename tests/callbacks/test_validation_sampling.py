"""A sample that cannot be drawn never ends a training."""

import pytest
import torch

from cli import main
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import fit, losses, write_config

SAMPLES = (
    '--trainer.callbacks+={"class_path": "callbacks.samples.TextSamples", '
    '"init_args": {"prompts": ["The cat"]}}'
)
VALIDATE = "--trainer.val_check_interval=2"


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


def test_what_goes_wrong_is_told_and_counted_and_training_goes_on(config, monkeypatch, capsys):
    def fail(self, prompts):
        raise KeyError("past_key_values")

    plain = fit(config, VALIDATE)
    monkeypatch.setattr(CausalLM, "sample", fail)
    run = fit(config, VALIDATE, SAMPLES)
    output = capsys.readouterr().out
    assert "step 2 sample failed (1 in this run), training goes on: KeyError" in output
    assert "2 of this run's samples could not be drawn" in output
    assert losses(run) == losses(plain)


def test_a_sample_longer_than_the_context_is_refused_before_the_first_step(config, capsys):
    with pytest.raises((ValueError, SystemExit)) as refused:
        fit(config, SAMPLES, "--model.init_args.generation.max_new_tokens=128")
    message = str(refused.value) + capsys.readouterr().err
    assert "more than the model's context of 128" in message


@pytest.mark.slow
def test_a_sample_of_a_checkpoint_bears_its_step(config, capsys):
    run = fit(config, SAMPLES)
    capsys.readouterr()
    last = run / "checkpoints" / "last.ckpt"
    main(["validate", f"--config={config}", SAMPLES, f"--ckpt_path={last}"])
    output_lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("step 4 sample: The cat") for line in output_lines)
    assert output_lines[-1].startswith("run folder")


@pytest.mark.slow
def test_generators_of_samples_move_nothing_else(config, monkeypatch):
    monkeypatch.setattr(CausalLM, "sample", lambda self, prompts: [str(torch.rand(1))])
    assert losses(fit(config, VALIDATE, SAMPLES)) == losses(fit(config, VALIDATE))
