from pathlib import Path

import pytest
import yaml

from engine.study.grid import read_grid

CONFIGS = Path(__file__).parents[3] / "configs" / "detector"


@pytest.mark.parametrize(("name", "num"), [("matrix", 59), ("domains", 45)])
def test_every_cell_of_a_shipped_grid_is_a_config(name, num, tmp_path):
    grid, _ = read_grid([f"--config={CONFIGS / name}.yaml", f"--folder={tmp_path}"])
    cells = grid.cells()
    assert len(cells) == num
    for cell in cells:
        cell.prepare()
        for command in cell.commands:
            held = yaml.safe_load(cell.config(command).read_text())
            assert {"seed_everything", "data", "trainer"} <= set(held)
            assert ("ckpt_path" in held) is (command != "fit" and "fit" in cell.commands)


def test_the_detectors_of_a_domain_are_tested_in_it():
    grid, _ = read_grid([f"--config={CONFIGS / 'domains'}.yaml"])
    for name, options in grid.axes["domain"].items():
        assert options["data.init_args.train.domains"] == [name]
        assert options["data.init_args.test.domains"] == [name]
