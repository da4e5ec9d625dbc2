"""Checks that an exported folder computes what was trained, before it gets its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L
import torch
from torch import Tensor

from engine.disk.whole import whole

LEAST = 1e-3
"""Difference, as a share of the outputs' spread, that kernels may make in single precision."""
STEPS = 8
"""The same for narrower weights, in steps of their dtype."""


@runtime_checkable
class Comparable(Protocol):
    """A system whose exported folder can be compared with the network in memory."""

    def outputs(self) -> Tensor:
        """What the network in memory gives for a few fixed inputs."""


@runtime_checkable
class ComparableFolder(Comparable, Protocol):
    """One that reads its folder as others do; the others' are opened by `engine.export.folder`."""

    def outputs_of(self, folder: Path) -> Tensor:
        """The same of a fresh network, read from an exported folder alone.

        Raises:
            ValueError: A weight is not what was written.
        """


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """A new folder that becomes the target if nothing is raised, and else vanishes.

    Raises:
        FileExistsError: The target holds something.
        ValueError: It is a mount point, which no folder can become.
    """
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty; give --folder a new one")
    if target.is_mount():
        raise ValueError(f"{target} is a mount point; give --folder a folder below it")
    with whole(target.resolve()) as draft:
        draft.mkdir()
        yield draft
        readable(draft)


def readable(folder: Path) -> None:
    """Let others read all files as far as this user's new files may be: some libraries do not."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)


def refuse_difference(wanted: Tensor, found: Tensor, model: L.LightningModule) -> float:
    """Raise unless two outputs are alike up to the rounding of the narrowest weights.

    Args:
        wanted: Of the network as it was trained.
        found: Of the exported folder.
        model: The system, in the dtypes that were written.

    Returns:
        The difference, as a share of the spread of what was wanted.

    Raises:
        ValueError: They are not, or an output of the folder is not finite where the other is.
    """
    if wanted.shape != found.shape:
        raise ValueError(f"outputs are {tuple(found.shape)} in place of {tuple(wanted.shape)}")
    wanted, found = wanted.double().cpu(), found.double().cpu()
    finite = wanted.isfinite()
    if not bool(finite.any()):
        raise ValueError("the network gives no finite output: is it sound?")
    difference = relative(wanted[finite], found[finite])
    limit = max(LEAST, STEPS * widest_step(model))
    if not difference <= limit:
        raise ValueError(
            f"outputs differ by {difference:.2g} of their spread, more than the {limit:.2g} that "
            f"rounding may make"
        )
    return difference


def relative(wanted: Tensor, found: Tensor) -> float:
    """Root mean square of a difference over the standard deviation of what was wanted."""
    spread = wanted.std(correction=0).clamp(min=1e-6)
    return ((found - wanted).square().mean().sqrt() / spread).item()


def widest_step(model: L.LightningModule) -> float:
    """Distance of 1 to the next number, in the narrowest floating dtype of the parameters."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return max((torch.finfo(kind).eps for kind in kinds), default=0.0)
