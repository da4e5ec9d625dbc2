"""Which weights a command uses: found before anything is built, reported, or refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace
from typing_extensions import override

from engine.checkpoint.facts import Facts, class_name, facts
from engine.checkpoint.io import candidates_of, first_sound, newest, remove_leftovers
from engine.checkpoint.manifest import verify
from engine.config.origins import refuse_remote
from engine.config.trust import importable, path_of, within
from engine.config.trust import member as any_member
from engine.ranks.messages import print_once

LOOKED_UP = ("last", "auto")
"""Values of ckpt_path that refer to the newest checkpoint of a config's runs."""
EVALUATES = ("validate", "test", "predict", "export", "select", "sample", "doctor")
"""Commands whose results mean something only with trained weights."""


@dataclass(frozen=True)
class ChosenWeights:
    """The checkpoint of a command.

    Attributes:
        path: Where it is; None where the command has none.
        step: Optimizer steps it was trained for; None where it does not say.
        asked: What the user gave as ckpt_path.
    """

    path: str | None = None
    step: int | None = None
    asked: str | None = None


def choose(command: str, config: Namespace, folder: Path) -> ChosenWeights:
    """Find the checkpoint that a command asks for.

    Args:
        command: `fit`, `validate`, ...
        config: What was parsed for it.
        folder: Holds the runs of the config.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, holds more than data, is that of another system, or was trained
            for longer than the run may last.
    """
    asked = config.get("ckpt_path")
    if command == "fit":
        remove_leftovers(folder)
    if asked is None or str(asked) == "hpc":
        return ChosenWeights(asked=asked)
    network = config.get("model.init_args.network")
    try:
        found = look_up(str(asked), folder, network)
    except FileNotFoundError:
        if asked != "auto" or command != "fit":
            raise
        return ChosenWeights(asked="auto")
    verify(found)
    held = facts(found)
    refuse_other_system(held, config.get("model.class_path"))
    if command == "fit":
        refuse_other_training(held, config)
    return ChosenWeights(str(found), held.step, str(asked))


def look_up(asked: str, folder: Path, network: Any = None) -> Path:
    """The file or folder that a ckpt_path refers to.

    Args:
        asked: A path, a run folder, `last` or `auto`.
        folder: Holds the runs of the config.
        network: What the config says of its network.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no path on this machine.
    """
    if asked in LOOKED_UP:
        plain = network.as_dict() if isinstance(network, Namespace) else network
        return newest(folder, plain)
    if asked == "best":
        raise ValueError(
            "ckpt_path: best is known within one run only; name the file that ModelCheckpoint kept"
        )
    refuse_remote(asked, "ckpt_path")
    path = Path(asked).expanduser()
    if not ((path / "checkpoints").is_dir() or (path / "config.yaml").is_file()):
        return path
    found = first_sound(candidates_of(path))
    if found is None:
        raise FileNotFoundError(f"ckpt_path: no checkpoint in the run folder {path}")
    return found


def refuse_other_system(held: Facts, wanted: str | None) -> None:
    """Refuse the checkpoint of another class than the config builds, or one that it descends from.

    Raises:
        ValueError: Names both.
    """
    if held.system is None or wanted is None or member(held.system) is None:
        return  # it does not say, or its class has another name by now
    family = {path_of(base) for base in getattr(member(wanted), "__mro__", ())}
    if path_of(member(held.system)) not in family:
        raise ValueError(
            f"ckpt_path: {held.path} is the checkpoint of another model: of {held.system}, but the "
            f"config builds {wanted}"
        )


def member(path: str) -> Any:
    """The class of a path that a config may name; None where there is none."""
    return any_member(path) if within(path, importable()) else None


def refuse_other_training(held: Facts, config: Namespace) -> None:
    """Refuse to continue a training that is over, or under an optimizer of another kind.

    Raises:
        ValueError: Names both numbers of steps, or both optimizers.
    """
    max_steps = config.get("trainer.max_steps", -1)
    if held.step is not None and 0 < max_steps < held.step:
        raise ValueError(
            f"ckpt_path: {held.path} was trained for {held.step} steps already, more than "
            f"trainer.max_steps={max_steps}"
        )
    wanted = class_name(config.get("model.init_args.optimizer"))
    if held.optimizer and wanted and held.optimizer != wanted:
        raise ValueError(
            f"ckpt_path: {held.path} was trained by {held.optimizer} and holds its state, but the "
            f"config's optimizer is {wanted}"
        )
    callbacks = config.get("trainer.callbacks") or []
    averages = any(class_name(one) in ("EMA", "EMAWeightAveraging") for one in callbacks)
    if held.has_average and not averages:
        print_once(
            f"{held.path} holds averaged weights, which this run drops: it has no EMA callback"
        )
    if held.step is not None and held.step == max_steps:
        print_once(
            f"{held.path} is at trainer.max_steps={max_steps} already: nothing is left to train"
        )


def describe(chosen: ChosenWeights, model: Any) -> str:
    """The line about the weights of a command: `weights: PATH, step N`, or where else from."""
    if chosen.path is not None:
        step = f", step {chosen.step}" if chosen.step is not None else ""
        return f"weights: {chosen.path}{step}"
    return f"weights: {origin(model, ' (auto: no checkpoint yet)' * (chosen.asked == 'auto'))}"


def origin(model: Any, why: str = "") -> str:
    """Where the weights of a built system come from, without a checkpoint.

    Args:
        model: The system.
        why: What follows the word `untrained`.
    """
    sources = ", ".join(getattr(model, "sources", []))
    missing = untrained(model)
    if not missing:
        return sources or "nothing here is trained"
    begun = f"untrained{why}"
    total = sum(1 for _ in trainable(model))
    return f"{sources}; {len(missing)} of {total} trainable tensors {begun}" if sources else begun


def trainable(model: L.LightningModule) -> Iterable[str]:
    """Names of the parameters that a training changes."""
    return (name for name, p in model.named_parameters() if p.requires_grad)


def untrained(model: Any) -> list[str]:
    """Trainable parameters whose values come from no file.

    A system says so itself (`untrained`, noted when its network was built); of any other module, no
    parameter comes from a file.
    """
    noted = getattr(model, "untrained", None)
    return list(noted) if noted is not None else list(trainable(model))


def refuse_untrained(model: Any, chosen: ChosenWeights) -> None:
    """Refuse to evaluate or export weights that nobody trained.

    Raises:
        ValueError: Names a parameter, and the ways out.
    """
    missing = [] if chosen.path else untrained(model)
    if missing:
        first = f"{missing[0]}{' and others' if missing[1:] else ''}"
        raise ValueError(
            f"no --ckpt_path: {len(missing)} trainable tensors are untrained ({first}); give "
            "--ckpt_path last for the newest checkpoint of this config, or --untrained if it is "
            "meant"
        )


class WeightsReport(L.Callback):
    """Reports which weights a command uses, once they are there, and refuses untrained ones.

    Args:
        chosen: The checkpoint of the command.
        may_be_untrained: Whether untrained weights are meant.
    """

    def __init__(self, chosen: ChosenWeights, may_be_untrained: bool = False):
        self.chosen = chosen
        self.may_be_untrained = may_be_untrained
        self.line = ""

    def report(self, pl_module: L.LightningModule) -> None:
        """Print the line, once."""
        if not self.line:
            self.line = describe(self.chosen, pl_module)
            print_once(self.line)

    def check(self, pl_module: L.LightningModule) -> None:
        """Print the line, and refuse what was not trained.

        Raises:
            ValueError: There is something untrained, and it is not meant.
        """
        if not self.may_be_untrained:
            refuse_untrained(pl_module, self.chosen)
        self.report(pl_module)

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.report(pl_module)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.check(pl_module)

    @override
    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.check(pl_module)

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.check(pl_module)
