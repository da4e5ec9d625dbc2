"""What a sweep has found: a table, the best configs, and the tables that its plots draw."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from engine.disk.whole import whole
from engine.study.results import CONFIG, short_names, short_value
from engine.study.sweep.findings import plots
from engine.study.sweep.findings.importances import importances
from engine.study.sweep.ledger import Ledger
from engine.study.sweep.sweep import Sweep
from engine.study.tables import lined_up, shown, write_csv

SHOWN = 20
"""Trials in the table of the terminal; the file has all."""


@dataclass
class SweepReport:
    """Reads the trials of a sweep.

    Attributes:
        ledger: The trials.
        sweep: What was searched.
    """

    ledger: Ledger
    sweep: Sweep

    def write(self) -> Iterator[str]:
        """Write everything into the sweep's folder.

        Yields:
            Lines to show.
        """
        folder, trials = self.sweep.folder, self.ledger.trials()
        rows = [self.row(trial) for trial in self.in_order(trials)]
        write_csv(folder / "trials.csv", rows)
        yield from lined_up(*self.table(rows))
        if len(rows) > SHOWN:
            yield f"... and {len(rows) - SHOWN} more"
        yield f"{counted(trials)}: {folder}/trials.csv"
        finished = self.finished(trials)
        if not finished:
            return
        yield from self.write_best(finished)
        yield from self.write_plots(trials)

    def finished(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that have a value of each objective."""
        return [trial for trial in trials if trial.state == TrialState.COMPLETE]

    def in_order(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The best first, by the first objective; then pruned ones, failed ones, the rest."""
        sign = self.sign(0)
        states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]

        def rank(trial: FrozenTrial) -> tuple[int, float, int]:
            known = trial.state in states
            value = sign * trial.values[0] if trial.state == TrialState.COMPLETE else 0.0
            return states.index(trial.state) if known else len(states), value, trial.number

        return sorted(trials, key=rank)

    def sign(self, index: int) -> int:
        """Of an objective: 1 where less is better, else -1."""
        return 1 if list(self.sweep.objectives.values())[index] == "minimize" else -1

    def values(self, trial: FrozenTrial) -> dict[str, Any]:
        """The value of each key of the space that a trial has."""
        found = {}
        for one in self.sweep.space.dimensions:
            if one.name in trial.params:
                kept = trial.params[one.name]
                found[one.key] = one.values.value(kept)
        return found

    def row(self, trial: FrozenTrial) -> dict[str, Any]:
        """All that is known of a trial, by column."""
        notes = trial.user_attrs
        row: dict[str, Any] = {"trial": trial.number, "ended": ended(trial)}
        row |= dict(zip(self.sweep.objectives, trial.values or self.last_values(trial)))  # noqa: B905
        row |= dict.fromkeys(self.sweep.space.keys) | self.values(trial)
        row |= {"steps": trial.last_step, "seconds": notes.get("seconds")}
        names = ("seed", "sampler", "sampler_seed", "host", "run", "instead_of", "reason")
        return row | {name: notes.get(name) for name in names}

    def last_values(self, trial: FrozenTrial) -> list[float]:
        """What a trial that has no value had last."""
        steps = trial.intermediate_values
        return [steps[max(steps)]] if steps else []

    def table(self, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
        """The first rows with the columns for a terminal, by short names."""
        keys = [*self.sweep.space.keys]
        names = short_names(keys)
        columns = {"trial": "trial", "ended": "ended", **{o: o for o in self.sweep.objectives}}
        columns |= names | {"seconds": "seconds", "reason": "reason"}
        few = [
            {columns[k]: cut(short_value(k, v)) for k, v in r.items() if k in columns}
            for r in rows[:SHOWN]
        ]
        return few, [
            n for n in columns.values() if any(row.get(n) not in (None, "") for row in few)
        ]

    def write_best(self, finished: list[FrozenTrial]) -> Iterator[str]:
        """Write the config of the best trial, or of each that no other beats in everything."""
        folder = self.sweep.folder
        if len(self.sweep.objectives) == 1:
            best = self.in_order(finished)[0]
            yield f"best: {self.described(best)}"
            if self.write_config(best, folder / "best.yaml"):
                yield f"train it again: python cli.py fit --config {folder}/best.yaml"
            return
        front = self.in_order(self.ledger.study.best_trials)
        write_csv(folder / "front.csv", [self.row(trial) for trial in front])
        yield f"Pareto front, {len(front)} of {len(finished)} trials: {folder}/front.csv"
        for trial in front:
            self.write_config(trial, folder / "front" / f"trial_{trial.number}.yaml")
            yield f"  {self.described(trial)}"
        yield f"their configs: {folder}/front/trial_NUMBER.yaml"

    def described(self, trial: FrozenTrial) -> str:
        """A trial and its values, in a line."""
        pairs = zip(self.sweep.objectives, trial.values, strict=True)
        return f"trial_{trial.number}, " + ", ".join(f"{name} {shown(v)}" for name, v in pairs)

    def write_config(self, trial: FrozenTrial, path: Path) -> bool:
        """Write the config of a trial's run for `fit`; False where that is elsewhere."""
        source = Path(trial.user_attrs.get("run") or "", CONFIG)
        if not source.is_file():
            return False
        content = yaml.safe_load(source.read_text())
        content.pop("ckpt_path", None)
        content.get("trainer", {}).pop("logger", None)  # the run gets a folder of its own
        chosen = [f"#   {key}: {value}" for key, value in self.values(trial).items()]
        head = [f"# {self.described(trial)}, of the sweep {self.sweep.folder}", *chosen]
        with whole(path) as draft:
            draft.write_text("\n".join(head) + "\n" + yaml.safe_dump(content, sort_keys=False))
        return True

    def write_plots(self, trials: list[FrozenTrial]) -> Iterator[str]:
        """Write each plot as PNG and the table that it draws as CSV."""
        folder, names = self.sweep.folder, short_names(self.sweep.space.keys)
        finished, written = self.finished(trials), list[str]()
        for index, (objective, how) in enumerate(self.sweep.objectives.items()):
            end = "" if len(self.sweep.objectives) == 1 else f"_{objective.replace('/', '_')}"
            history = self.history(trials, index)
            slices = [self.values(t) | {objective: t.values[index]} for t in finished]
            found = [trial.values[index] for trial in finished]
            shares = importances(self.sweep.space, [*map(self.values, finished)], found)
            ranked = [{"key": key, "importance": share} for key, share in shares.items()]
            tables = {"history": history, "slices": slices, "importances": ranked}
            for name, rows in tables.items():
                if rows:
                    write_csv(folder / f"{name}{end}.csv", rows)
            is_lower = how == "minimize"
            plots.history(folder / f"history{end}.png", history, objective)
            plots.slices(folder / f"slices{end}.png", slices, names, objective, is_lower)
            plots.parallel(folder / f"parallel{end}.png", slices, names, objective, is_lower)
            write_csv(folder / f"parallel{end}.csv", slices)
            written += [f"history{end}", f"slices{end}", f"parallel{end}"]
            if ranked:
                plots.importances(folder / f"importances{end}.png", ranked, names, objective)
                written.append(f"importances{end}")
        if len(self.sweep.objectives) > 1:
            front = {trial.number for trial in self.ledger.study.best_trials}
            points = [(*t.values[:2], t.number in front, t.number) for t in finished]
            plots.front(folder / "front.png", points, [*self.sweep.objectives][:2])
            written.append("front")
        yield f"plots, each as .png and .csv: {folder}/{{{','.join(written)}}}"

    def history(self, trials: list[FrozenTrial], index: int) -> list[dict[str, Any]]:
        """Value of each trial, and the best so far."""
        rows, best, sign = list[dict[str, Any]](), None, self.sign(index)
        for trial in trials:
            value = trial.values[index] if trial.state == TrialState.COMPLETE else None
            if value is not None:
                best = value if best is None else sign * min(sign * best, sign * value)
            pruned = self.last_values(trial) if trial.state == TrialState.PRUNED else []
            row = {"trial": trial.number, "ended": ended(trial), "value": value, "best": best}
            rows.append(row | {"last_value": pruned[0] if pruned and index == 0 else None})
        return rows


def ended(trial: FrozenTrial) -> str:
    """How a trial ended, or what it does."""
    kind = trial.user_attrs.get("ended")
    return str(kind).replace("_", " ") if kind else trial.state.name.lower()


def counted(trials: list[FrozenTrial]) -> str:
    """How many trials ended how."""
    counts = Counter(ended(trial) for trial in trials)
    return f"{len(trials)} trials: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common())


def cut(value: Any, width: int = 60) -> Any:
    """A value, cut where it is a long text."""
    long = isinstance(value, str) and len(value) > width
    return f"{value[: width - 3]}..." if long else value
