"""Ranks that Lightning's own launcher started end soon after the rank that started them."""

import os
import threading
from time import sleep

import lightning as L
from lightning.pytorch.plugins.environments import LightningEnvironment

GRACE = 60.0
"""Seconds that a rank has to end by itself."""

_watching = threading.Event()


def watch_launcher(trainer: L.Trainer) -> None:
    """End this rank if the first one, which started it, is killed: it may wait for it for ever."""
    environment = trainer._accelerator_connector.cluster_environment
    is_started = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    if is_started and not _watching.is_set():
        _watching.set()
        end_with_parent()


def end_with_parent(grace: float = GRACE, every: float = 1.0) -> None:
    """Watch the process that started this one, and end some seconds after it.

    Args:
        grace: Seconds.
        every: Seconds between two looks.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            sleep(every)
        sleep(grace)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="launcher").start()
