"""Combinations that cannot work, refused before anything is built."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import torch
from jsonargparse import Namespace
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.strategies import StrategyRegistry

from engine.checkpoint.manifest import missing
from engine.config.invocation import Invocation
from engine.config.origins import Origin
from engine.config.parser import refuse
from engine.config.suggestions import nearest
from engine.preflight.impossible import (
    averaging_without_epochs,
    failing_optimizer,
    flattened_matrices,
    not_a_number,
    nothing_to_read,
    sharded_8_bit,
    uneven_heads,
    wrong_number,
)
from engine.preflight.meshes import divided_heads, divided_rows, shared_rows, uneven_mesh
from engine.preflight.zero import layers_of_each_rank, unfit_for_deepspeed

FSDP2_PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-true")
"""What Lightning's ModelParallelStrategy accepts."""

SPECIAL_CHECKPOINTS = ("auto", "best", "last", "hpc")
"""Values of ckpt_path that refer to a file."""


def refuse_impossible(subcommand: str, config: Namespace) -> None:
    """End with one line and exit code 2 where a run could only fail, or never end.

    Args:
        subcommand: `fit`, `validate`, ...
        config: What was parsed for it: `trainer`, `model`, `data`, `ckpt_path`.
    """
    run = Invocation(subcommand, config)
    for check in CHECKS:
        reason = check(run)
        if reason:
            refuse(reason)


# Devices


def unknown_accelerator(run: Invocation) -> str | None:
    """An accelerator that Lightning does not know."""
    known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if run.accelerator in known or "." in run.accelerator:
        return None
    return f"trainer.accelerator: there is no {run.accelerator}{nearest(run.accelerator, known)}"


def deepspeed_without_cuda(run: Invocation) -> str | None:
    """DeepSpeed on anything but CUDA; subclasses from elsewhere may know better."""
    is_shipped = run.strategy.startswith(("deepspeed", "lightning.", "engine."))
    if not (run.is_deepspeed and is_shipped):
        return None
    if run.device == "cuda" and torch.cuda.is_available():
        return None
    return (
        "trainer.strategy: DeepSpeed needs a CUDA device, and there is none or trainer.accelerator "
        "is another; configs/strategy/fsdp2.yaml shards on a CPU too"
    )


def missing_cuda(run: Invocation) -> str | None:
    """A GPU that is not there."""
    if run.device == "gpu" or (run.device == "cuda" and not torch.cuda.is_available()):
        return (
            f"trainer.accelerator is {run.accelerator}, but torch sees no such device; "
            "use auto or cpu"
        )
    return None


def too_many_devices(run: Invocation) -> str | None:
    """More CUDA devices than there are."""
    wanted = num_devices(run.trainer("devices", "auto"))
    if run.device != "cuda" or wanted <= torch.cuda.device_count():
        return None
    given, there = run.trainer("devices"), torch.cuda.device_count()
    return f"trainer.devices is {given}, but this machine has {there} CUDA device(s)"


def num_devices(devices: int | str | list[int]) -> int:
    """How many devices a machine must have; 0 where any number will do."""
    if isinstance(devices, str):
        if not re.fullmatch(r"\d+(,\s*\d+)*,?", devices.strip()):
            return 0
        listed = [int(number) for number in devices.split(",") if number.strip()]
        devices = listed if "," in devices else listed[0]
    return max(devices, default=-1) + 1 if isinstance(devices, list) else max(devices, 0)


def half_on_cpu(run: Invocation) -> str | None:
    """float16 on a CPU."""
    if run.device != "cpu" or run.precision not in ("16-mixed", "16-true"):
        return None
    return f"trainer.precision is {run.precision}, which a CPU lacks; use bf16-mixed or 32-true"


def bitsandbytes_without_cuda(run: Invocation) -> str | None:
    """Quantised weights on anything but CUDA."""
    if not run.has_bitsandbytes or run.device == "cuda":
        return None
    return f"trainer.plugins: BitsandbytesPrecision needs a CUDA device, this run uses {run.device}"


# Strategies


def unknown_strategy(run: Invocation) -> str | None:
    """A name that Lightning does not know, or a class that it would take for one."""
    known = ["auto", *StrategyRegistry.available_strategies()]
    if not isinstance(run.config.get("trainer.strategy", "auto"), str):
        return None
    if run.strategy.lower() in known:
        return None
    files = "files in configs/strategy/ name the classes"
    return f"trainer.strategy: there is no {run.strategy}{nearest(run.strategy, known)}; {files}"


def fsdp1_on_cpu(run: Invocation) -> str | None:
    """The old FSDP, which runs on accelerators only."""
    if not run.is_fsdp1 or run.device != "cpu":
        return None
    return f"trainer.strategy {run.strategy} does not run on a CPU; use configs/strategy/fsdp2.yaml"


def sharded_quantized(run: Invocation) -> str | None:
    """Quantised weights, which cannot be sharded."""
    if not (run.is_fsdp1 or run.is_fsdp2 or run.is_deepspeed):
        return None
    found = next((p.key for p in run.model if is_quantized(p)), None)
    cause = "trainer.plugins: BitsandbytesPrecision" if run.has_bitsandbytes else f"model.{found}"
    if found is None and not run.has_bitsandbytes:
        return None
    return f"{cause} makes weights that {run.strategy} cannot shard; use configs/strategy/ddp.yaml"


def is_quantized(origin: Origin) -> bool:
    """Whether a key of the model asks for weights in 4 or 8 bits."""
    name = origin.key.rpartition(".")[2]
    if name == "quantize" or re.search(r"[48]_?bit", name):
        return bool(origin.value)
    return isinstance(origin.value, str) and bool(re.match(r"(nf4|fp4|int[48])\b", origin.value))


def fsdp2_precision(run: Invocation) -> str | None:
    """A precision that Lightning's ModelParallelStrategy refuses."""
    if not run.is_fsdp2 or run.precision in FSDP2_PRECISIONS:
        return None
    return (
        f"trainer.precision is {run.precision}, which FSDP2 does not support; "
        f"use one of {', '.join(FSDP2_PRECISIONS)}"
    )


def clipped_by_value(run: Invocation) -> str | None:
    """Clipping by value of gradients that are sharded."""
    by_value = str(run.trainer("gradient_clip_algorithm")).lower() == "value"
    if not by_value or not (run.is_fsdp2 or run.is_deepspeed):
        return None
    return (
        f"trainer.gradient_clip_algorithm is value, which {run.strategy} does not support; use norm"
    )


# Starts and ends


def endless(run: Invocation) -> str | None:
    """A fit that nothing ends, or that ends before its first step."""
    if run.command != "fit" or run.trainer("fast_dev_run"):
        return None
    steps, epochs = run.trainer("max_steps", -1), run.trainer("max_epochs")
    if steps == 0 or epochs == 0:
        return f"trainer.max_steps is {steps}, trainer.max_epochs {epochs}: nothing is trained"
    if steps > 0 or epochs is None or epochs > 0 or run.trainer("max_time"):
        return None
    return (
        f"trainer.max_steps is {steps} and trainer.max_epochs {epochs}: the run would never end; "
        "set trainer.max_steps"
    )


def missing_checkpoint(run: Invocation) -> str | None:
    """A ckpt_path that is not there."""
    path = str(run.config.get("ckpt_path") or "")
    if not path or path in SPECIAL_CHECKPOINTS or re.match(r"registry|\w+:/", path):
        return None
    if Path(path).expanduser().exists():
        return None
    own = run.config.get("trainer.logger")
    own = own[0] if isinstance(own, list) and own else own
    options = own.get("init_args") if isinstance(own, Namespace) else None
    root = Path((options or {}).get("root") or "runs", (options or {}).get("name") or "")
    files = [file for file in root.rglob("*.ckpt") if not file.is_symlink()]
    found = sorted(files, key=lambda file: file.lstat().st_mtime)
    hint = f"; the newest below {root} is {found[-1]}" if found else f"; there is none below {root}"
    return f"ckpt_path: {missing(Path(path).expanduser())}{hint}"


def code_in_checkpoints(run: Invocation) -> str | None:
    """A checkpoint that would be read as code."""
    if run.config.get("weights_only") is False:
        return "weights_only: checkpoints are read as data alone, never as code; leave it out"
    return None


def devices_beside_torchrun(run: Invocation) -> str | None:
    """Other numbers of devices or machines than torchrun started; on a CPU `auto` takes its own."""
    local, world = (os.environ.get(f"{one}WORLD_SIZE") for one in ("LOCAL_", ""))
    if local is None or world is None or "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    devices, nodes = run.trainer("devices", "auto"), run.trainer("num_nodes", 1)
    wanted = int(world) // int(local)
    if devices in ("auto", -1, "-1") and run.device == "cpu":
        run.config.trainer.devices = devices = int(local)  # Lightning takes one on a CPU
    if nodes == 1 != wanted:
        run.config.trainer.num_nodes = nodes = wanted
    given = num_devices(devices)
    if given not in (0, int(local)):
        return f"trainer.devices is {devices}, but torchrun started {local} processes a machine"
    if nodes != wanted:
        return f"trainer.num_nodes is {nodes}, but torchrun started {world} processes, {local} each"
    return None


CHECKS: tuple[Callable[[Invocation], str | None], ...] = (
    unknown_accelerator,
    unknown_strategy,
    deepspeed_without_cuda,
    missing_cuda,
    too_many_devices,
    half_on_cpu,
    bitsandbytes_without_cuda,
    fsdp1_on_cpu,
    sharded_quantized,
    fsdp2_precision,
    clipped_by_value,
    unfit_for_deepspeed,
    layers_of_each_rank,
    endless,
    wrong_number,
    not_a_number,
    nothing_to_read,
    averaging_without_epochs,
    uneven_heads,
    sharded_8_bit,
    flattened_matrices,
    failing_optimizer,
    missing_checkpoint,
    code_in_checkpoints,
    devices_beside_torchrun,
    uneven_mesh,
    divided_heads,
    divided_rows,
    shared_rows,
)
"""Each returns a reason to refuse a run, or None; the first reason is reported."""
