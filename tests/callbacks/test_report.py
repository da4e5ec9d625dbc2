import csv
from pathlib import Path

import pytest
import yaml

from callbacks.report import check_finite
from callbacks.report_line import line, si
from cli import main
from tests.fixtures.runs import fit, metrics, write_config


def test_a_line_reads_as_people_write():
    row = {
        "train/loss": 1.23456,
        "train/gradient_norm": 0.5,
        "learning_rate": 3e-4,
        "tokens_per_second": 12345.0,
        "flop_per_second": 5.5e10,
        "matmul_share": 0.41,
        "memory_bytes": 2**30,
    }
    assert line(20, row, 100) == (
        "step 20/100 · loss 1.2346 · gradient_norm 0.5000 · lr 3.00e-04 · 12.3 k tokens/s · "
        "55 GFLOP/s (41% of matmul) · 1.00 GiB"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5 "), (999, "999 "), (1e6, "1 M"), (2e18, "2 E")]
)
def test_numbers_get_prefixes(value, text):
    assert si(value) == text


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(FloatingPointError, match="train/loss is nan at step 7"):
        check_finite({"train/loss": float("nan")}, 7)


def test_rows_come_at_every_interval_and_at_the_end(tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    run = fit(config, "--trainer.max_steps=7", "--trainer.log_every_n_steps=3")
    rows = metrics(run)
    assert [row["step"] for row in rows] == [3, 6, 7]
    assert all({"learning_rate", "memory_bytes", "tokens_per_second"} <= row.keys() for row in rows)


def test_a_reported_loss_is_the_mean_over_its_interval(tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    each = metrics(fit(config))
    together = metrics(fit(config, "--trainer.log_every_n_steps=4"))
    losses = [row["train/loss"] for row in each]
    assert min(losses) < together[0]["train/loss"] < max(losses)


@pytest.mark.parametrize(("command", "stage"), [("validate", "validate"), ("test", "test")])
def test_a_command_that_evaluates_prints_what_it_found(
    command, stage, tmp_path, text_file, tokenizer_folder, capsys
):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    run = fit(config, "--trainer.max_steps=2")
    checkpoint = run / "checkpoints" / "last.ckpt"
    again = yaml.safe_load(config.read_text())
    again["data"]["init_args"]["test"] = again["data"]["init_args"]["validate"]
    config.write_text(yaml.safe_dump(again))
    capsys.readouterr()
    main([command, f"--config={config}", f"--ckpt_path={checkpoint}"])
    output_lines = capsys.readouterr().out.splitlines()
    loss = next(
        output_line for output_line in output_lines if output_line.startswith(f"{stage}/loss")
    )
    folder = next(
        output_line for output_line in output_lines if output_line.startswith("run folder")
    ).split()[-1]
    with (Path(folder) / "metrics.csv").open() as file:
        logged = float(list(csv.DictReader(file))[-1][f"{stage}/loss"])
    assert float(loss.split()[-1]) == pytest.approx(logged, rel=1e-4)


def test_a_first_step_that_fails_leaves_nothing_counting(
    tmp_path, text_file, tokenizer_folder, monkeypatch
):
    """In a grid or a sweep the next run of the same process would be counted, and not compile."""
    from torch.utils._python_dispatch import _get_current_dispatch_mode

    from modules.causal_lm.system import CausalLM

    def fail(self, batch, batch_idx):
        assert _get_current_dispatch_mode() is not None
        raise RuntimeError("no step")

    monkeypatch.setattr(CausalLM, "training_step", fail)
    with pytest.raises(RuntimeError, match="no step"):
        fit(write_config(tmp_path, text_file, tokenizer_folder))
    assert _get_current_dispatch_mode() is None


def test_validation_of_a_plain_module_is_told_by_the_names_that_people_give():
    from types import SimpleNamespace

    from callbacks.report import logged_metrics

    logged = {"train_loss": 1.0, "val_acc": 0.5, "valid/f1": 0.25, "interval": 3.0}
    trainer = SimpleNamespace(callback_metrics=logged, state=SimpleNamespace(fn="fit"))
    assert logged_metrics(trainer, "validate/") == {"val_acc": 0.5, "valid/f1": 0.25}
    trainer.callback_metrics = {**logged, "validate/loss": 2.0}
    assert logged_metrics(trainer, "validate/") == {"validate/loss": 2.0}
