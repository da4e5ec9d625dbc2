"""What a run would be refused for on any machine, as those that are only estimated."""

from jsonargparse import Namespace

from engine.config.invocation import Invocation
from engine.preflight.combinations import (
    CHECKS,
    deepspeed_without_cuda,
    devices_beside_torchrun,
    missing_cuda,
    too_many_devices,
)

HERE = (deepspeed_without_cuda, devices_beside_torchrun, missing_cuda, too_many_devices)
"""Checks that look at this machine."""


def impossible_anywhere(config: Namespace) -> str | None:
    """Why `fit` could not run a config on GPUs, or None.

    Args:
        config: What was parsed for `fit`; `trainer.strategy` is what is estimated.
    """
    on_gpu = config.clone()
    on_gpu["trainer.accelerator"] = "cuda"
    run = Invocation("fit", on_gpu)
    reasons = (check(run) for check in CHECKS if check not in HERE)
    return next(filter(None, reasons), None)
