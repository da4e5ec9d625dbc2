"""A small computation without side effects: on the CPU, in float32, with its own random state."""

import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def isolated() -> Iterator[None]:
    """Float32 on the CPU inside, whatever precision, device or strategy is set outside.

    The random states of torch, numpy and python, the default type and the messages of transformers
    are afterwards what they were before.
    """
    from transformers.utils import logging

    dtype, verbosity, threads = (
        torch.get_default_dtype(),
        logging.get_verbosity(),
        torch.get_num_threads(),
    )
    states = random.getstate(), np.random.get_state()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(whole_parameters())
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)  # matrices are tiny, and ranks share the cores
        try:
            torch.manual_seed(0)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
            logging.set_verbosity(verbosity)
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def whole_parameters() -> Iterator[None]:
    """Where DeepSpeed splits parameters among ranks as they are made, let it wait."""
    zero: Any = sys.modules.get("deepspeed.runtime.zero.partition_parameters")
    if zero is None:
        yield
        return
    zero.shutdown_init_context()
    try:
        yield
    finally:
        zero.restore_init_context()
