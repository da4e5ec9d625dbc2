"""One line for all ranks: which of several processes tells why they end."""

import os
import traceback

from lightning.fabric.utilities.rank_zero import rank_zero_only

KEY = "trainer/refused"


def print_once(line: str) -> None:
    """Print a line, once for all ranks."""
    rank_zero_only(print)(line)


def is_first_to_report() -> bool:
    """Whether this process tells why the run ends; of all ranks one does.

    Once ranks know each other, the first that asks. Before, all read the same command line and meet
    the same mistake: the first of each machine.
    """
    store = common_store()
    if store is not None:
        try:
            return int(store.add(KEY, 1)) == 1  # type: ignore[attr-defined]
        except Exception:  # the process that holds the store is gone, and has told
            return False
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))) == 0


def common_store() -> object | None:
    """What all ranks can write to; None where there is one process, or they have not met."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    return dist.distributed_c10d._get_default_store()


def lost_other_ranks(error: BaseException) -> bool:
    """Whether an error only says that another rank has ended."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and "torch/distributed" in frames[-1].filename.replace(os.sep, "/")
    return common_store() is not None and inside and isinstance(error, RuntimeError)
