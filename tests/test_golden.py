"""Loss curves of every config that trains, and what the others write and measure, digit by digit.

`python -m tests.test_golden` writes them anew, after a change that is meant to change them; names
such as `causal_lm/tiny` after it select some.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.layers import CONFIGS, runs
from tests.golden_runs import TRAINED, UNTRAINED, curve, one_thread

GOLDEN = Path(__file__).parent / "golden"
GRIDS = {
    "detector/domains",
    "detector/matrix",
    "icl/tiny_study",
    "nlgift/numerical",
    "nlgift/reasoning",
    "nlgift/semantic",
    "nlgift/structural",
}
"""Runs of other configs."""
ASKING = {"nlgift/endpoint"}
"""Configs that ask a server; their tests ask a stand-in."""
QUICK = {"causal_lm/tiny", "lmfusion/tiny"}
CURVES = [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in TRAINED]
CLOSE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with one_thread():
        yield tmp_path_factory.mktemp("golden")


def kept(name: str, ending: str) -> Path:
    """The golden file of a config."""
    return GOLDEN / f"{name.replace('/', '_')}.{ending}"


@pytest.mark.parametrize("name", CURVES)
def test_the_loss_curve_is_the_golden_one(name, folder):
    golden = [float(line.split()[1]) for line in kept(name, "txt").read_text().splitlines()]
    assert len(golden) == 20
    assert curve(name, folder) == pytest.approx(golden, rel=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNTRAINED)
def test_what_does_not_train_writes_and_measures_what_it_did(name, folder):
    golden = json.loads(kept(name, "json").read_text())
    assert UNTRAINED[name](folder) == near(golden)


def near(golden: Any) -> Any:
    """The same, its numbers compared up to the last digits."""
    if isinstance(golden, dict):
        return {key: near(value) for key, value in golden.items()}
    if isinstance(golden, list):
        return [near(value) for value in golden]
    return pytest.approx(golden, rel=CLOSE) if isinstance(golden, float) else golden


def test_every_run_has_a_golden_outcome():
    names = {str(path.relative_to(CONFIGS).with_suffix("")) for path in runs("*/*.yaml")}
    others = {name for name in names if name.startswith(("strategy/", "sweep/"))}
    assert names - others - GRIDS - ASKING == {*TRAINED, *UNTRAINED}
    known = [kept(name, "txt") for name in TRAINED] + [kept(name, "json") for name in UNTRAINED]
    assert {path for path in GOLDEN.iterdir() if path.is_file()} == set(known)


def write(folder: Path, names: list[str]) -> None:
    """Keep the outcomes of some configs as they are now; of all where no name is given."""
    for name in names or [*TRAINED, *UNTRAINED]:
        if name in UNTRAINED:
            text = json.dumps(UNTRAINED[name](folder), indent=1, ensure_ascii=False) + "\n"
            kept(name, "json").write_text(text)
            continue
        numbered = enumerate(curve(name, folder), 1)
        kept(name, "txt").write_text("".join(f"{step} {loss!r}\n" for step, loss in numbered))


if __name__ == "__main__":
    chosen, sys.argv = sys.argv[1:], sys.argv[:1]
    with tempfile.TemporaryDirectory() as place, one_thread():
        write(Path(place), chosen)
