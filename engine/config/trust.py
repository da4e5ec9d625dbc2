"""What a config may name: classes, one by one or a package of ours, never functions.

A config is data. A class_path that builds the wrong thing is refused before anything is imported
where its package is unknown, and before anything is built where the member is not one of these.
"""

import inspect
import os
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

from jsonargparse import Namespace

OURS = ("modules", "datamodules", "callbacks", "engine", "benchmarks", "cli")
"""Our own packages."""
VARIABLE = "TRAINER_TRUSTED"
"""Environment variable: packages of the user's own, joined by commas."""
NAMED = (
    "modules",
    "datamodules",
    "callbacks",
    "engine.checkpoint.io",
    "engine.study.grid",
    "engine.study.sweep.pruners",
    "engine.study.sweep.samplers",
    "engine.study.trial",
    "engine.optim.schedules",
    "engine.optim.muon",
    "engine.run.logger",
    "engine.run.every_n_steps",
    "engine.parallel.deepspeed",
    "engine.parallel.fsdp2",
    "engine.parallel.hsdp",
    "engine.parallel.tensor.strategy",
    "engine.parallel.context.strategy",
)
"""Where our classes are that a config may name."""
SEARCHED = (
    *NAMED,
    "torch.optim",
    "bitsandbytes.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.fabric.plugins.environments",
)
"""Modules that the parser may import to find a class; `refuse_untrusted` looks at the class."""
BASES = {
    "torch.optim": ("torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler"),
    "bitsandbytes.optim": ("torch.optim.optimizer.Optimizer",),
}
"""Of other packages: modules, and what a class there must descend from."""
LIGHTNING = {
    "callbacks": (
        "DeviceStatsMonitor",
        "EMAWeightAveraging",
        "EarlyStopping",
        "GradientAccumulationScheduler",
        "LearningRateMonitor",
        "ModelCheckpoint",
        "ModelSummary",
        "RichModelSummary",
        "RichProgressBar",
        "SpikeDetection",
        "StochasticWeightAveraging",
        "TQDMProgressBar",
        "ThroughputMonitor",
        "Timer",
        "WeightAveraging",
    ),
    "loggers": (
        "CSVLogger",
        "CometLogger",
        "LitLogger",
        "MLFlowLogger",
        "TensorBoardLogger",
        "WandbLogger",
    ),
    "plugins": (
        "BitsandbytesPrecision",
        "DeepSpeedPrecision",
        "DoublePrecision",
        "FSDPPrecision",
        "HalfPrecision",
        "MixedPrecision",
        "Precision",
        "TorchSyncBatchNorm",
        "TransformerEnginePrecision",
    ),
    "profilers": ("AdvancedProfiler", "PassThroughProfiler", "PyTorchProfiler", "SimpleProfiler"),
    "strategies": (
        "DDPStrategy",
        "DeepSpeedStrategy",
        "FSDPStrategy",
        "ModelParallelStrategy",
        "SingleDeviceStrategy",
    ),
    "plugins.environments": (
        "KubeflowEnvironment",
        "LSFEnvironment",
        "LightningEnvironment",
        "MPIEnvironment",
        "SLURMEnvironment",
        "TorchElasticEnvironment",
    ),
}
"""Lightning's classes that a config may name, by the module that shows them."""
UNKNOWN = (
    "which is not in the list of classes that a config may name (engine/config/trust.py); the "
    f"environment variable {VARIABLE} adds packages of your own"
)
"""What is said of anything else."""
FUNCTIONS = ("modules.base.system.constant",)
"""Functions that may be given in place of a class, as the defaults of ours do."""


def added_packages() -> list[str]:
    """Packages that the user trusts in addition to ours, from the variable TRAINER_TRUSTED."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def importable() -> list[str]:
    """What the parser may import, for its allowlist."""
    return [*SEARCHED, *added_packages()]


def untrusted(config: Any) -> tuple[str, str] | None:
    """The first thing in a configuration that it may not name, and why; None where all is well.

    Looked at is every class_path and every function or class that a value was read as, at any
    depth, also in dictionaries whose classes would be built later.
    """
    for given in named(config):
        reason = objection(given)
        if reason:
            return (given if isinstance(given, str) else path_of(given)), reason
    return None


def named(node: Any) -> Iterator[Any]:
    """Everything in a configuration that names a class or a function."""
    node = vars(node) if isinstance(node, Namespace) else node
    if isinstance(node, dict):
        if isinstance(node.get("class_path"), str):
            yield node["class_path"]
        for value in node.values():
            yield from named(value)
    elif isinstance(node, list | tuple | set):
        for value in node:
            yield from named(value)
    elif inspect.isroutine(node) or inspect.isclass(node) or isinstance(node, partial):
        yield node


def objection(given: Any) -> str | None:
    """Why a class_path, or what a value was read as, may not be named; None where it may."""
    if isinstance(given, str):
        if not within(given, importable()):
            return UNKNOWN
        found = member(given)
    else:
        found = given.func if isinstance(given, partial) else given
        if not within(path_of(found), importable()):
            return None  # a default: the parser reads no such thing from a config
    if within(path_of(found), [*FUNCTIONS, *added_packages()]):
        return None
    if not inspect.isclass(found):
        return "which is no class: a config names classes, never functions"
    return None if allowed(found) else UNKNOWN


def allowed(found: type) -> bool:
    """Whether a class is one of those that a config may name."""
    path = path_of(found)
    if within(path, NAMED):
        return True
    bases = {path_of(base) for base in found.__mro__}
    if any(within(path, [package]) and bases & set(of) for package, of in BASES.items()):
        return True
    return found in lightnings()


def lightnings() -> list[type]:
    """The classes of `LIGHTNING`, as far as this version has them."""
    modules = {name: import_module(f"lightning.pytorch.{name}") for name in LIGHTNING}
    pairs = [(modules[module], name) for module, names in LIGHTNING.items() for name in names]
    return [getattr(module, name) for module, name in pairs if hasattr(module, name)]


def member(path: str) -> Any:
    """What a class_path within `importable` refers to; None where there is nothing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None


def path_of(found: Any) -> str:
    """Where a class or function is defined."""
    return f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', found)}"


def within(path: str, packages: Iterable[str]) -> bool:
    """Whether a dotted path is one of the packages, or lies in one."""
    return any(path == one or path.startswith(f"{one}.") for one in packages)
