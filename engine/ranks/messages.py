"""Messages of several ranks, printed once: progress, and why a run ends."""

import os
import traceback

from lightning.fabric.utilities.rank_zero import rank_zero_only

KEY = "trainer/refused"


def print_once(line: str) -> None:
    """Print a line, once for all ranks."""
    rank_zero_only(print)(line)


def is_first_to_report() -> bool:
    """Whether this process reports why the run ends; exactly one rank does.

    Once the ranks are connected, it is the first that asks. Before that, all parse the same command
    line and find the same mistake: it is the first of each machine.
    """
    store = common_store()
    if store is not None:
        try:
            return int(store.add(KEY, 1)) == 1  # type: ignore[attr-defined]
        except Exception:  # the process that holds the store has ended, and reported
            return False
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))) == 0


def common_store() -> object | None:
    """The store that all ranks share; None for one process, or before they are connected."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    return dist.distributed_c10d._get_default_store()


def lost_other_ranks(error: BaseException) -> bool:
    """Whether an error only says that another rank has ended."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and "torch/distributed" in frames[-1].filename.replace(os.sep, "/")
    return common_store() is not None and inside and isinstance(error, RuntimeError)
