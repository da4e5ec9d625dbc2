"""The folders that configs name through environment variables, for messages about missing files."""

import os
from pathlib import Path

ROOTS = {"TRAINER_DATA": "data", "TRAINER_MODELS": "models"}
"""Environment variable -> the folder that stands in for it when it is unset."""


def missing(path: str) -> FileNotFoundError:
    """An error that names a path that does not exist and, where one is concerned, its variable.

    Args:
        path: The path or glob as the user wrote it.

    Returns:
        The error, to be raised by the caller.
    """
    hints = [_hint(variable, default, path) for variable, default in ROOTS.items()]
    return FileNotFoundError(" ".join([f"{path} does not exist.", *filter(None, hints)]))


def looks_local(name: str) -> bool:
    """Whether a name can only be meant as a path; a name on the hub has one slash at most."""
    first = name.split("/")[0]
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or first in ROOTS.values()
        or Path(first).is_dir()
    )


def _hint(variable: str, default: str, path: str) -> str:
    """Why `variable` may be the reason, or an empty string."""
    value = os.environ.get(variable)
    if not Path(path).absolute().is_relative_to(Path(value or default).absolute()):
        return ""
    state = f"is set to {value}" if value else "is not set"
    kind = "models" if variable.endswith("MODELS") else "data"
    return (
        f"The environment variable {variable} {state}; it must point at the {kind}. "
        "docs/data.md names the public source of each set."
    )
