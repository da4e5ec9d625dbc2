"""The folders that configs name through environment variables, for messages about missing files."""

import os
from pathlib import Path

ROOTS = {"TRAINER_DATA": "data", "TRAINER_MODELS": "models"}
"""Environment variable -> the folder that is used when it is unset."""


HERE = Path(__file__).parents[2]
"""The repository: relative paths in configs are looked up there too."""
FOLDERS = ("assets", "checkpoints", "configs", "docs", "exported", "runs", *ROOTS.values())
"""First parts of a path that are never read as an organisation on the hub."""


def at_home(path: str | Path) -> Path:
    """A path unchanged, or below the repository if it exists only there."""
    given = Path(path).expanduser()
    return HERE / given if not given.exists() and (HERE / given).exists() else given


def located(name: str, made_by: str | None = None) -> str:
    """What a library may load: an existing folder, or a name that can only be from the hub.

    Args:
        name: As the user wrote it.
        made_by: Command that creates such a folder; `{name}` is replaced by it.

    Raises:
        FileNotFoundError: It looks like a local path that does not exist.
    """
    if at_home(name).exists():
        return str(at_home(name))
    if looks_local(name):
        raise missing(name, made_by)
    return name


def missing(path: str, made_by: str | None = None) -> FileNotFoundError:
    """An error that names a missing path and, if relevant, its environment variable.

    Args:
        path: The path or glob as the user wrote it.
        made_by: Command that creates it; `{name}` is replaced by the path.

    Returns:
        The error, to be raised by the caller.
    """
    hints = [_hint(variable, default, path) for variable, default in ROOTS.items()]
    is_ours = not is_published(path)
    made = f"Make it by: {made_by.format(name=path)}" if made_by and is_ours else ""
    return FileNotFoundError(" ".join([f"{path} does not exist.", *filter(None, [*hints, made])]))


def is_published(name: str) -> bool:
    """Whether a model of that name can only be a published one, which no command here creates.

    These are models below TRAINER_MODELS and names with an organisation on the hub.
    """
    home = Path(os.environ.get("TRAINER_MODELS") or ROOTS["TRAINER_MODELS"]).expanduser()
    is_below = Path(name).expanduser().absolute().is_relative_to(home.absolute())
    return is_below or ("/" in name and not looks_local(name))


def looks_local(name: str) -> bool:
    """Whether a name can only be a path; a name on the hub has at most one slash."""
    first = name.split("/")[0]
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or first in FOLDERS
        or ("/" in name and at_home(first).is_dir())
    )


def _hint(variable: str, default: str, path: str) -> str:
    """How `variable` may be the cause, or an empty string."""
    value = os.environ.get(variable)
    if not Path(path).absolute().is_relative_to(Path(value or default).absolute()):
        return ""
    state = f"is set to {value}" if value else "is not set"
    kind = "models" if variable.endswith("MODELS") else "data"
    return (
        f"The environment variable {variable} {state}; it must point at the {kind}. "
        "docs/data.md names the public source of each set."
    )
