"""One trial: its process is started, its metrics are read as they come, and it may be pruned.

The worker reads the metrics that the run writes for everybody, and ends the run by SIGTERM. The run
itself knows nothing of a sweep: it needs neither Optuna nor a connection to the storage, on none of
its ranks, and it ends as at any other SIGTERM, all ranks at the same step, with a checkpoint. What
is decided depends on the values at their steps alone, not on when they were read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from engine.study import results
from engine.study.child import Child, end_softly, ended_softly
from engine.study.results import Curve, curves, numbered
from engine.study.sweep.ending import Ending, ending
from engine.study.sweep.ledger import Claim, Ledger, unlogged
from engine.study.trial import Cell

FIT = "fit"
"""Name of a trial's command."""
LONGEST = 0.5
"""Seconds between two looks at a trial; less while it is young."""
Start = Callable[[list[str], Path, int], Child]
"""Starts a command line: its arguments, the file of its output, a descriptor to hold."""


@dataclass(frozen=True)
class Objective:
    """What is optimised.

    Attributes:
        directions: Of each quantity that counts: minimize or maximize.
        take: Which value of each: the last of the run, or the best.
        prunes: Whether trials may be pruned by the first quantity.
        max_steps: At which step trials end, and are not pruned any more; None where it is unknown.
    """

    directions: dict[str, str]
    take: str
    prunes: bool
    max_steps: int | None = None

    def values(self, found: dict[str, Curve]) -> list[float]:
        """One value of each quantity.

        Raises:
            KeyError: One was never logged.
        """
        return [self.value(found[name], how) for name, how in self.directions.items()]

    def value(self, curve: Curve, direction: str) -> float:
        """The value of a curve that counts."""
        if self.take == "last":
            return results.last(curve)
        return results.best(curve, direction == "minimize")


@dataclass
class TrialRun:
    """A claimed trial as it runs.

    Attributes:
        ledger: Where its end is recorded.
        claim: The trial.
        cell: Its config and command.
        objective: What is optimised.
        patience: Seconds that it has to save once it is pruned.
    """

    ledger: Ledger
    claim: Claim
    cell: Cell
    objective: Objective
    patience: float
    known: set[int] = field(default_factory=set)

    def run(self, start: Start) -> Ending:
        """Run it to its end, and record that.

        Raises:
            ValueError: It never logged what is optimised, as no trial before it, or it was begun
                under other options.
        """
        self.cell.prepare()
        self.known |= {*self.frozen().intermediate_values}
        begun, log = time.monotonic(), self.cell.folder / f"{FIT}.log"
        if self.cell.receipt(FIT) is None:
            args = [*self.cell.args(FIT), *self.cell.resumed(FIT)]
            child = start(args, log, self.claim.lock)
            with ended_softly(child, self.patience):
                pruned = self.watch(child)
            if pruned:
                return self.record(Ending("pruned", pruned), TrialState.PRUNED, None, begun)
            end = ending(child.wait(), self.cell.folder, log)
            if end.kind != "finished":
                return self.record(end, TrialState.FAIL, None, begun)
            self.cell.sign(FIT, time.monotonic() - begun)
        return self.finish(begun)

    def watch(self, child: Child) -> str:
        """Wait until a process ends, or is to be pruned and has ended; why it was, or nothing."""
        begun = time.monotonic()
        while True:
            code = child.poll()
            reason = self.reported()
            if reason:
                end_softly(child, self.patience)
                return reason
            if code is not None:
                return ""
            self.ledger.beat(self.claim.trial._trial_id)
            time.sleep(min(LONGEST, 0.02 + (time.monotonic() - begun) / 20))

    def reported(self) -> str:
        """Report values that have come since the last look; why to prune the trial, or nothing."""
        if not self.objective.prunes:
            return ""
        name = next(iter(self.objective.directions))
        curve = self.curves().get(name, {})
        for step in [step for step in curve if step not in self.known and isfinite(curve[step])]:
            self.known.add(step)
            self.claim.trial.report(curve[step], step)
            is_last = self.objective.max_steps is not None and step >= self.objective.max_steps
            if not is_last and self.claim.trial.should_prune():
                return f"{name} {curve[step]:.4g} at step {step}"
        return ""

    def frozen(self) -> FrozenTrial:
        """The trial as it is stored."""
        return self.ledger.storage.get_trial(self.claim.trial._trial_id)

    def curves(self) -> dict[str, Curve]:
        """What the trial has logged so far, in all of its runs."""
        return curves(numbered(self.cell.folder))

    def finish(self, begun: float) -> Ending:
        """Record a run that has ended well."""
        found = self.curves()
        missing = [name for name in self.objective.directions if name not in found]
        if missing:
            reason = unlogged(missing, sorted(found))
            end = self.record(Ending("failed", reason), TrialState.FAIL, None, begun)
            if not self.ledger.trials(TrialState.COMPLETE):
                raise ValueError(f"{self.cell.name} {reason}")
            return end
        values = self.objective.values(found)
        for name, value in zip(self.objective.directions, values, strict=True):
            if not isfinite(value):
                end = Ending("failed", f"{name} is {value}")
                return self.record(end, TrialState.FAIL, None, begun)
        return self.record(Ending("finished"), TrialState.COMPLETE, values, begun)

    def record(
        self, end: Ending, state: TrialState, values: list[float] | None, begun: float
    ) -> Ending:
        """Record the end of the trial, and how long it took here."""
        trial = self.claim.trial
        before = trial.user_attrs.get("seconds", 0.0)
        trial.set_user_attr("seconds", round(before + time.monotonic() - begun, 1))
        runs = numbered(self.cell.folder)
        trial.set_user_attr("run", str(runs[-1].resolve()) if runs else None)
        self.ledger.end(trial.number, end, state, values)
        return end
