"""The trials of a sweep in its storage: who runs which, and what became of them.

All trials are entered before the first is run, and wait. A worker claims one by the lock of its
folder and by its state in the storage. So however many workers there are, no trial is run twice and
there are as many as were asked for. A trial whose worker was killed is taken over by the next
worker of that machine, from its newest checkpoint; of a worker on another machine, which no lock
shows, it is entered again once that worker has been silent for long.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna import Study, Trial
from optuna.exceptions import DuplicatedStudyError, OptunaError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from engine.config.suggestions import nearest
from engine.study.launch import locked
from engine.study.sweep.ending import Ending
from engine.study.sweep.space.space import Values

BEAT = 30.0
"""Seconds between two signs of life of a worker."""
SILENT = 600.0
"""Seconds without one after which a worker on another machine counts as dead."""
PLAN = "plan"
"""Attribute of a study: what all of its workers must agree on."""
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Claim:
    """A trial that this worker runs.

    Attributes:
        trial: Optuna's.
        folder: Its folder.
        lock: Descriptor of the folder's lock.
        is_resumed: Whether another worker had begun it.
    """

    trial: Trial
    folder: Path
    lock: int
    is_resumed: bool


class Ledger:
    """The study of a sweep.

    Args:
        storage: Where it is kept.
        name: Of the study.
        folder: Of the sweep, where trials have their folders.
        directions: Of each objective, by its name: minimize or maximize.
        plan: What all workers must agree on, by what it is called.

    Raises:
        ValueError: The study was begun with another plan.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        folder: Path,
        directions: dict[str, str],
        plan: dict[str, Any],
    ):
        self.storage = storage
        self.folder = folder.resolve()
        self.host = socket.gethostname()
        self.beaten = 0.0
        self.study, self.is_new = entered(
            storage, name, [StudyDirection[one.upper()] for one in directions.values()]
        )
        self.study_id = storage.get_study_id_from_name(name)
        if self.is_new:
            self.study.set_user_attr(PLAN, json.dumps(plan))
        self.refuse_other(name, plan)

    def refuse_other(self, name: str, plan: dict[str, Any]) -> None:
        """Refuse to join a study that is about something else.

        Raises:
            ValueError: Names what differs.
        """
        begun = json.loads(self.study.user_attrs.get(PLAN, json.dumps(plan)))
        for what, ours in json.loads(json.dumps(plan)).items():
            if begun.get(what) != ours:
                raise ValueError(
                    f"study {name} was begun with another {what}: {differing(begun[what], ours)}; "
                    "give the sweep a new folder or name"
                )

    def use(self, sampler: BaseSampler, pruner: BasePruner) -> None:
        """Draw and prune by these from now on."""
        self.study.sampler = sampler
        self.study.pruner = pruner

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in some states; all where none is named."""
        wanted = states or None
        return self.storage.get_all_trials(self.study_id, deepcopy=False, states=wanted)

    def enter(self, points: list[Values]) -> None:
        """Enter trials until there are as many as points; what is there already stays.

        Args:
            points: What is settled of each trial, by the names and values that Optuna keeps.
        """
        if not self.is_new:
            self.await_entries(len(points))
        with study_lock(self.folder):
            for point in points[self.num_asked :]:
                self.study.enqueue_trial(point)

    @property
    def num_asked(self) -> int:
        """Number of trials, without those that stand in for one whose worker was lost."""
        return sum("instead_of" not in trial.user_attrs for trial in self.trials())

    def await_entries(self, number: int, seconds: float = 10.0) -> None:
        """Give the worker that made the study, on whichever machine, time to enter its trials."""
        deadline, before = time.monotonic() + seconds, -1
        while before < self.num_asked < number and time.monotonic() < deadline:
            before = self.num_asked
            time.sleep(0.5)

    @contextmanager
    def claimed(self) -> Iterator[Claim | None]:
        """A trial to run, locked as long as the context; None where there is none left."""
        self.replace_lost()
        for trial in [*self.trials(TrialState.RUNNING), *self.trials(TrialState.WAITING)]:
            if self.is_elsewhere(trial):
                continue
            folder = self.folder_of(trial.number)
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder) as lock:
                if lock is not None and self.take(trial):
                    resumed = trial.state == TrialState.RUNNING
                    yield Claim(self.attach(trial), folder, lock, resumed)
                    return
        yield None

    def folder_of(self, number: int) -> Path:
        """Folder of a trial."""
        return self.folder / f"trial_{number}"

    def take(self, trial: FrozenTrial) -> bool:
        """Make a trial ours whose folder we have locked; whether it still was to be had."""
        now = self.storage.get_trial(trial._trial_id).state
        if now != trial.state:
            return False
        if now == TrialState.RUNNING:
            return True
        return self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)

    def attach(self, trial: FrozenTrial) -> Trial:
        """Optuna's handle of a trial that is ours, with our name on it."""
        ours = {"host": self.host, "pid": os.getpid(), "folder": str(self.folder)}
        for name, value in ours.items():
            self.storage.set_trial_user_attr(trial._trial_id, name, value)
        self.beaten = 0.0
        self.beat(trial._trial_id)
        return Trial(self.study, trial._trial_id)

    def beat(self, trial_id: int) -> None:
        """Give a sign of life, now and then."""
        if time.monotonic() - self.beaten > BEAT or not self.beaten:
            self.beaten = time.monotonic()
            self.storage.set_trial_user_attr(trial_id, "beat", time.time())

    def is_elsewhere(self, trial: FrozenTrial) -> bool:
        """Whether the folder of a trial, and its lock, are not ours to see."""
        given = trial.user_attrs
        here = (self.host, str(self.folder))
        return "host" in given and (given["host"], given.get("folder")) != here

    def replace_lost(self) -> None:
        """Mark trials as failed whose workers elsewhere fell silent, and enter them again."""
        for trial in self.trials(TrialState.RUNNING):
            silence = time.time() - trial.user_attrs.get("beat", time.time())
            if self.is_elsewhere(trial) and silence > SILENT:
                host = trial.user_attrs["host"]
                lost = Ending("killed", f"its worker on {host} has been silent for {silence:.0f} s")
                if self.end(trial.number, lost, TrialState.FAIL):
                    attributes = {"instead_of": trial.number}
                    self.study.enqueue_trial(trial.params, user_attrs=attributes)

    def end(
        self, number: int, ending: Ending, state: TrialState, values: list[float] | None = None
    ) -> bool:
        """Record the end of a trial; whether nobody else had."""
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        try:
            self.storage.set_trial_user_attr(trial_id, "ended", ending.kind)
            self.storage.set_trial_user_attr(trial_id, "reason", ending.reason)
            self.study.tell(number, values, state=state)
        except (OptunaError, ValueError, RuntimeError):
            if self.storage.get_trial(trial_id).state in DONE:
                return False
            raise
        return True

    def await_orphans(self, seconds: float) -> None:
        """Let processes end whose worker on this machine was killed; they are about to save."""
        deadline = time.monotonic() + seconds
        for trial in self.trials(TrialState.RUNNING):
            is_orphan = not self.is_elsewhere(trial) and not is_alive(
                trial.user_attrs.get("pid", 0)
            )
            while is_orphan and self.is_locked(trial.number) and time.monotonic() < deadline:
                time.sleep(0.2)

    def is_locked(self, number: int) -> bool:
        """Whether a process holds the folder of a trial."""
        if not self.folder_of(number).is_dir():
            return False
        with locked(self.folder_of(number)) as lock:
            return lock is None

    def failed_in_a_row(self) -> list[FrozenTrial]:
        """The last trials that ended, as far back as all of them failed."""
        ended = sorted(self.trials(*DONE), key=lambda t: str(t.datetime_complete), reverse=True)
        failures = [trial.state == TrialState.FAIL for trial in ended]
        return ended[: failures.index(False) if False in failures else len(ended)]


def entered(
    storage: BaseStorage, name: str, directions: list[StudyDirection]
) -> tuple[Study, bool]:
    """The study of a name, and whether we have made it: of several workers exactly one does.

    Raises:
        ValueError: It has other objectives.
    """
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage)
        if study.directions != directions:
            begun, ours = ([one.name.lower() for one in x] for x in (study.directions, directions))
            raise ValueError(
                f"study {name} was begun with objectives to {', '.join(begun)}, not to "
                f"{', '.join(ours)}; give the sweep a new folder or name"
            ) from None
        return study, False
    return study, True


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """A lock that workers who share the folder wait for."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with locked(folder) as lock:
            if lock is not None:
                yield
                return
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def differing(begun: Any, ours: Any) -> str:
    """What differs between two values, or two tables."""
    if not (isinstance(begun, dict) and isinstance(ours, dict)):
        return f"{begun}, not {ours}"
    keys = [key for key in {**begun, **ours} if begun.get(key) != ours.get(key)]
    pairs = [f"{key} {begun.get(key, 'nothing')}, not {ours.get(key, 'nothing')}" for key in keys]
    return "; ".join(pairs) or "the order of its keys"


def unlogged(names: list[str], logged: list[str]) -> str:
    """What to say of objectives that a run never logged."""
    hints = [f"{name}{nearest(name, logged)}" for name in names]
    return f"never logged {', '.join(hints)}; it logged {', '.join(logged) or 'nothing'}"
