"""How remote files are read on this machine: environment variables, as the data folders are."""

import os
from pathlib import Path

FOLDER = "TRAINER_REMOTE_CACHE"
"""Variable: folder of the copies that a node keeps for a while."""
GIGABYTES = "TRAINER_REMOTE_CACHE_GB"
"""Variable: how large that folder may grow."""
RETRIES = "TRAINER_REMOTE_RETRIES"
"""Variable: how often a request that failed is sent again."""
DEFAULTS = {FOLDER: ".cache/remote", GIGABYTES: "16", RETRIES: "6"}


def cache_folder() -> Path:
    """Folder of the copies."""
    return Path(_given(FOLDER)).expanduser()


def cache_bytes() -> int:
    """How large the folder may grow, in bytes."""
    return int(_number(GIGABYTES) * 1e9)


def retries() -> int:
    """How often a request that failed is sent again."""
    return int(_number(RETRIES))


def _given(name: str) -> str:
    return os.environ.get(name) or DEFAULTS[name]


def _number(name: str) -> float:
    try:
        number = float(_given(name))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} must be a number from 0, got {_given(name)!r}.")
    return number
