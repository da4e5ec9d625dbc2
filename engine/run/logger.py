"""The run folder: `runs/<system>/<name>/<number>/`."""

import os
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger
from typing_extensions import override

from engine.config.layers import names_model
from engine.config.origins import refuse_remote

ROOT = "runs"
"""Folder of all runs, where a config names none."""


class RunLogger(CSVLogger):
    """Claims a numbered folder and writes metrics.csv and TensorBoard events into it.

    Every command gets a number of its own, so nothing is ever overwritten.

    Args:
        root: Folder of all runs.
        name: `<system>/<name>`; where None, cli.py takes it from the path of the config.
        number: Number of the run; the next free one where None.
        tensorboard: Whether to write TensorBoard events.
        metrics: Whether to write metrics at all; the folder is there in any case.
    """

    def __init__(
        self,
        root: str = "runs",
        name: str | None = None,
        number: int | None = None,
        tensorboard: bool = True,
        metrics: bool = True,
    ):
        refuse_remote(root, "trainer.logger.init_args.root")
        super().__init__(root, name or "run", None if number is None else str(number), "", 1)
        self.tensorboard = tensorboard
        self.metrics = metrics
        self.events: Any = None

    @property
    @override
    def version(self) -> str:
        if self._version is None:
            on_zero = getattr(rank_zero_only, "rank", 0) == 0
            self._version = claim(Path(self.root_dir)) if on_zero else "0"
        return str(self._version)

    @property
    @override
    def log_dir(self) -> str:
        return os.path.join(self.root_dir, self.version)

    @rank_zero_only
    @override
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if not self.metrics:
            return
        super().log_metrics(metrics, step)
        if self.tensorboard:
            self._write_events(metrics, step)

    def _write_events(self, metrics: dict[str, Any], step: int | None) -> None:
        if self.events is None:
            from torch.utils.tensorboard import FileWriter

            self.events = FileWriter(self.log_dir)
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=k, simple_value=float(v)) for k, v in metrics.items()]
        self.events.add_summary(Summary(value=values), step)  # one event a step, not one a value

    @rank_zero_only
    @override
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self.events is not None:
            self.events.flush()


def claim(folder: Path) -> str:
    """Make the next free numbered subfolder; two processes never get the same one.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=-1)
    while True:
        try:
            (folder / str(number)).mkdir()
            return str(number)
        except FileExistsError:
            number += 1


def settle_loggers(trainer: Namespace, name: str) -> Path:
    """Give every run its folder, whichever loggers it has, and the folder its name.

    A RunLogger comes first among the loggers. Where a config names others alone, one is added;
    where it names none, one that writes no metrics. So `last` finds what any run has saved.

    Args:
        trainer: Options of the trainer, as parsed; changed in place.
        name: `<system>/<name>` of the config.

    Returns:
        The folder of all runs of the config.
    """
    given = trainer.get("logger")
    listed = [one for one in (given if isinstance(given, list) else [given]) if one]
    others = [one for one in listed if class_of(one) not in (None, RunLogger.__name__)]
    own = next((one for one in listed if class_of(one) == RunLogger.__name__), None)
    if own is None:
        draws = not any(class_of(one) == "TensorBoardLogger" for one in others)
        options = {"root": ROOT, "name": None, "number": None, "tensorboard": draws}
        own = Namespace(
            class_path=f"{__name__}.{RunLogger.__name__}",
            init_args=Namespace(**options, metrics=given is not False),
        )
    own.init_args.name = own.init_args.get("name") or name
    trainer.logger = [own, *others] if others else own
    return Path(own.init_args.get("root", ROOT), own.init_args.name)


def class_of(logger: Any) -> str | None:
    """Name of the class of a parsed logger; None of anything else."""
    path = logger.get("class_path") if isinstance(logger, Namespace) else None
    return path.rpartition(".")[2] if path else None


def run_name(configs: list[Path]) -> str:
    """`<system>/<name>` after the first config that names a model: its folder and its own name."""
    if not configs:
        return "run"
    first = next(filter(names_model, configs), configs[0]).resolve()
    return f"{first.parent.name}/{first.stem}"
