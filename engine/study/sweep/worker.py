"""A worker of a sweep: claims trials and runs them, until none is left."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.config.parser import refuse
from engine.study.child import Child, EntryPoint, start_apart, start_forked
from engine.study.launch import Say, stoppable
from engine.study.results import short_names, short_value
from engine.study.sweep.configs import refuse_double, resolved
from engine.study.sweep.ending import Ending
from engine.study.sweep.ledger import Claim, Ledger
from engine.study.sweep.reseeded import Reseeded, trial_seed
from engine.study.sweep.space.space import Values
from engine.study.sweep.storage import let_go, opened
from engine.study.sweep.sweep import Sweep
from engine.study.sweep.trial_run import Objective, TrialRun
from engine.study.tables import shown
from engine.study.trial import Options


@dataclass
class Worker:
    """Runs trials of a sweep.

    Attributes:
        sweep: What is searched, and how.
        configs: Of the command line, for `fit`.
        flags: Of the command line, for `fit`.
        entry_point: What runs a command line in this process.
        say: Shows progress.
        source: Where the space comes from, for messages.
    """

    sweep: Sweep
    configs: list[Path]
    flags: list[str]
    entry_point: EntryPoint
    say: Say
    source: str

    def join(self, is_run: bool = True) -> Ledger:
        """Check everything, and enter the study.

        Args:
            is_run: Whether trials are to be run, for which the config must be sound.

        Raises:
            ValueError: The storage cannot be reached, or the study is another one.
        """
        sweep = self.sweep
        refuse_double(sweep.space, self.flags, sweep.options)
        storage = opened(sweep.storage, sweep.folder)
        self.config = self.resolve() if is_run else {}
        plan = sweep.plan(self.configs, self.flags)
        ledger = Ledger(storage, sweep.name, sweep.folder, dict(sweep.objectives), plan)
        if is_run:
            self.settle(ledger)
            ledger.enter(sweep.points)
        return ledger

    def resolve(self) -> dict[str, Any]:
        """What `fit` makes of the config with values of the space; refuses what it refuses."""
        found: dict[str, Any] = {}
        for values in self.sweep.space.examples():
            options = Options({**self.sweep.options, **values})
            source = f"{self.source} (space)"
            found = resolved(self.entry_point, self.configs, self.flags, options, source)
        self.refuse_fork(found)
        return found

    def refuse_fork(self, config: dict[str, Any]) -> None:
        """Refuse forks that would use CUDA, which this process may have begun to use."""
        import torch

        is_cpu = (config.get("trainer") or {}).get("accelerator") == "cpu"
        if self.sweep.forked and not is_cpu and torch.cuda.is_available():
            refuse(
                "forked: CUDA does not survive a fork; leave it out, or trainer.accelerator: cpu"
            )

    def settle(self, ledger: Ledger) -> None:
        """Settle the sampler, the pruner, and what counts."""
        sweep, steps = self.sweep, (self.config.get("trainer") or {}).get("max_steps") or -1
        max_steps = steps if steps > 0 and "trainer.max_steps" not in sweep.space.keys else None
        from optuna.pruners import NopPruner

        pruner = NopPruner() if sweep.pruner is None else sweep.pruner.build(max_steps)
        ledger.use(Reseeded(sweep.sampler.build, sweep.seed), pruner)
        prunes = sweep.pruner is not None
        self.objective = Objective(dict(sweep.objectives), sweep.take, prunes, max_steps)

    def run(self, ledger: Ledger) -> None:
        """Run trials until none is left.

        Raises:
            ValueError: What is optimised is never logged, or too many trials failed in a row.
        """
        deadline = time.monotonic() + 60 * (self.sweep.minutes or float("inf"))
        with stoppable():
            ledger.await_orphans(self.sweep.patience)
            while time.monotonic() < deadline:
                with ledger.claimed() as claim:
                    if claim is None:
                        return
                    self.run_trial(ledger, claim)
                self.give_up(ledger)
        self.say(f"{self.sweep.minutes:g} minutes are over; the same command runs what is left")

    def run_trial(self, ledger: Ledger, claim: Claim) -> None:
        """Run a claimed trial.

        Raises:
            ValueError: It never logged what is optimised.
        """
        values = self.sweep.space.suggest(claim.trial)
        self.note(claim, values)
        place = f"[{claim.trial.number + 1}/{len(ledger.trials())}] trial_{claim.trial.number}"
        self.say(f"{place}{' goes on' if claim.is_resumed else ''}: {written(values)}")
        seed = self.config.get("seed_everything")
        options = {**({} if seed is None else {"seed_everything": seed}), **values}
        cell = self.sweep.cell(claim.trial.number, options, self.configs, self.flags)
        run = TrialRun(ledger, claim, cell, self.objective, self.sweep.patience)
        end = run.run(partial(self.start, ledger))
        self.say(f"{place} {self.outcome(ledger, claim.trial.number, end)}")

    def note(self, claim: Claim, values: Values) -> None:
        """Record what makes a trial, so that it can be made again."""
        noted = {
            "seed": values.get("seed_everything", self.config.get("seed_everything")),
            "sampler": type(self.sweep.sampler).__name__,
            "sampler_seed": trial_seed(self.sweep.seed, claim.trial.number),
        }
        for name, value in noted.items():
            claim.trial.set_user_attr(name, value)

    def start(self, ledger: Ledger, args: list[str], log: Path, lock: int) -> Child:
        """Start the process of a trial."""
        if self.sweep.forked:
            let_go(ledger.storage)
            return start_forked(self.entry_point, args, log)
        return start_apart(args, log, lock, self.sweep.launcher, outlives=False)

    def outcome(self, ledger: Ledger, number: int, end: Ending) -> str:
        """How a trial ended, in a line."""
        trial = ledger.study.get_trials(deepcopy=False)[number]
        seconds = f"{trial.user_attrs.get('seconds', 0):.1f} s"
        if end.kind != "finished":
            log = "" if end.kind == "pruned" else f" (see {ledger.folder_of(number)}/fit.log)"
            return f"{end}, {seconds}{log}"
        found = zip(self.sweep.objectives, trial.values, strict=True)
        return ", ".join([f"{name} {value:.4g}" for name, value in found] + [seconds])

    def give_up(self, ledger: Ledger) -> None:
        """Stop where nothing but failures comes.

        Raises:
            ValueError: Too many trials failed in a row.
        """
        failed = ledger.failed_in_a_row()
        if len(failed) >= self.sweep.max_failed:
            reason = failed[0].user_attrs.get("reason", "")
            raise ValueError(
                f"the last {len(failed)} trials failed, trial_{failed[0].number}: {reason}; more "
                "are allowed by max_failed"
            )


def written(values: Values) -> str:
    """Values of a trial, in a line."""
    names = short_names(values)
    return ", ".join(
        f"{names[key]} {shown(short_value(key, value))}" for key, value in values.items()
    )
