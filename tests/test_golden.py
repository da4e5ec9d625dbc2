"""The loss curve of the smallest run, digit by digit.

`python -m tests.test_golden` writes it anew, after a change that is meant to change it.
"""

import sys
import tempfile
from pathlib import Path

import pytest

from tests.runs import metrics

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "causal_lm.txt"


def curve(folder: Path) -> list[float]:
    """Twenty steps of configs/causal_lm/tiny.yaml in float32 on a CPU."""
    from cli import main

    layers = [
        f"--config={ROOT / 'configs' / path}" for path in ("causal_lm/tiny.yaml", "debug.yaml")
    ]
    small = ["--data.init_args.batch_size=2", "--model.init_args.generation.max_new_tokens=8"]
    steps = ["--trainer.max_steps=20", "--trainer.val_check_interval=20"]
    main(["fit", *layers, *small, *steps, f"--trainer.logger.init_args.root={folder}"])
    return [row["train/loss"] for row in metrics(folder / "causal_lm" / "tiny" / "0")]


def test_the_loss_curve_is_the_golden_one(tmp_path):
    golden = [float(line.split()[1]) for line in GOLDEN.read_text().splitlines()]
    assert curve(tmp_path) == pytest.approx(golden, rel=1e-4)


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    with tempfile.TemporaryDirectory() as folder:
        losses = curve(Path(folder))
    GOLDEN.write_text("".join(f"{step} {loss!r}\n" for step, loss in enumerate(losses, 1)))
