"""Sweeps: a space of options is searched by trials, each of them one `fit`.

`python cli.py sweep --config CONFIG --sweep SWEEP` runs the trials that are left, one after the
other; after a kill the same command continues, and where it is started several times, on one
machine or on many, the workers share the trials.
"""

import hashlib
import json
from pathlib import Path
from shlex import join
from typing import Any, Literal

import yaml

from engine.config.layers import layered
from engine.study.child import PATIENCE
from engine.study.sweep.pruners import Pruner
from engine.study.sweep.samplers import TPE, Search
from engine.study.sweep.space.reading import read_space
from engine.study.sweep.space.space import Values
from engine.study.trial import Cell, Command, Options

Direction = Literal["minimize", "maximize"]


class Sweep:
    """A search for the best options of a run.

    Args:
        folder: Where the trials' folders, the study and its report go.
        space: Values that each dotted key may take: low and high (with log or step), or choices;
            under `when` the values of other keys with which it exists.
        objectives: What of a run's metrics.csv is optimised: minimize or maximize of each.
        num_trials: How many trials; where None, 20, or all combinations of a grid.
        sampler: How values are drawn: TPE, RandomSearch, GridSearch.
        pruner: Which trials are ended early by their first values: Median, Hyperband; None ends
            none.
        take: Which value of a run counts: its last or its best.
        seed: Of the sampler; the trials' own is seed_everything.
        options: What every trial sets, under the space.
        storage: URL of a database, or `journal:PATH`; None is SQLite in the folder, for workers of
            one machine.
        name: Of the study in the storage; None takes the folder's.
        launcher: What starts a trial, such as [torchrun, --standalone, --nproc_per_node=2] for two
            devices; None starts one process.
        forked: Whether trials are forked from this process, which saves their imports; not with
            CUDA.
        patience: Seconds that a trial has to save when it is pruned or stopped.
        max_failed: Trials in a row that fail before the sweep is given up.
        minutes: After how many no further trial is begun.

    Raises:
        ValueError: The space is none, or options exclude one another.
    """

    def __init__(
        self,
        folder: str,
        space: Options,
        objectives: dict[str, Direction],
        num_trials: int | None = None,
        sampler: Search | None = None,
        pruner: Pruner | None = None,
        take: Literal["last", "best"] = "last",
        seed: int = 1,
        options: Options | None = None,
        storage: str | None = None,
        name: str | None = None,
        launcher: list[str] | None = None,
        forked: bool = False,
        patience: float = PATIENCE,
        max_failed: int = 5,
        minutes: float | None = None,
    ):
        self.folder = Path(folder)
        self.given = dict(space)
        self.space = read_space(space)
        self.objectives = objectives
        self.sampler = sampler or TPE()
        self.points = self.sampler.points(self.space, num_trials)
        self.pruner = pruner
        self.take = take
        self.seed = seed
        self.options = options or Options()
        self.storage = storage
        self.name = name or self.folder.name
        self.launcher = launcher
        self.forked = forked
        self.patience = patience
        self.max_failed = max_failed
        self.minutes = minutes
        check(self, num_trials)

    def plan(self, configs: list[Path], flags: list[str]) -> dict[str, Any]:
        """What all workers of a study must agree on."""
        layers = [path.read_text() for path in layered(configs)]
        return {
            "space": self.given,
            "objectives": dict(self.objectives),
            "take": self.take,
            "options": dict(self.options),
            "command line": join(flags),
            "content of configs": fingerprint(layers),
        }

    def cell(self, number: int, values: Values, configs: list[Path], flags: list[str]) -> Cell:
        """The run of a trial."""
        options = Options({**self.options, **values})
        choices, paths = {"trial": f"trial_{number}"}, [str(path) for path in configs]
        return Cell(choices, self.folder, paths, options, {"fit": Command()}, flags)


def check(sweep: Sweep, num_trials: int | None) -> None:
    """Refuse options that exclude one another; see `Sweep`."""
    if num_trials is not None and num_trials < 1:
        raise ValueError(f"num_trials must be at least 1, got {num_trials}")
    if not sweep.objectives:
        raise ValueError("objectives is empty: name a quantity of metrics.csv, to minimize it")
    if sweep.pruner is not None and len(sweep.objectives) > 1:
        names = ", ".join(sweep.objectives)
        raise ValueError(f"pruner: trials are pruned by one objective, and there are {names}")
    if sweep.forked and sweep.launcher:
        raise ValueError("forked, launcher: a trial is forked or started by a launcher, not both")
    if sweep.max_failed < 1:
        raise ValueError(f"max_failed must be at least 1, got {sweep.max_failed}")
    if not sweep.name:
        raise ValueError(f"folder: {sweep.folder} gives the study no name; give one by name")


def fingerprint(layers: list[str]) -> str:
    """A hash of the content of config files, comments and order of keys apart."""
    content = json.dumps([yaml.safe_load(text) for text in layers], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
