"""The folders that configs name through environment variables, for messages about missing files."""

import os
from pathlib import Path

ROOTS = {"TRAINER_DATA": "data", "TRAINER_MODELS": "models"}
"""Environment variable -> the folder that stands in for it when it is unset."""


HERE = Path(__file__).parents[2]
"""The repository: relative paths of its configs are meant from there as well."""
FOLDERS = ("assets", "checkpoints", "configs", "docs", "exported", "runs", *ROOTS.values())
"""First parts of a path that no organisation on the hub is taken for."""


def at_home(path: str | Path) -> Path:
    """A path as it is, or below the repository where it is only there."""
    given = Path(path).expanduser()
    return HERE / given if not given.exists() and (HERE / given).exists() else given


def located(name: str, made_by: str | None = None) -> str:
    """What a library may be given: a folder that exists, or a name that can only be the hub's.

    Args:
        name: As the user wrote it.
        made_by: The command that makes such a folder; `{name}` stands for it.

    Raises:
        FileNotFoundError: It looks like a path of this machine, but nothing is there.
    """
    if at_home(name).exists():
        return str(at_home(name))
    if looks_local(name):
        raise missing(name, made_by)
    return name


def missing(path: str, made_by: str | None = None) -> FileNotFoundError:
    """An error that names a path that does not exist and, where one is concerned, its variable.

    Args:
        path: The path or glob as the user wrote it.
        made_by: The command that makes it; `{name}` stands for the path.

    Returns:
        The error, to be raised by the caller.
    """
    hints = [_hint(variable, default, path) for variable, default in ROOTS.items()]
    is_ours = not is_published(path)
    made = f"Make it by: {made_by.format(name=path)}" if made_by and is_ours else ""
    return FileNotFoundError(" ".join([f"{path} does not exist.", *filter(None, [*hints, made])]))


def is_published(name: str) -> bool:
    """Whether a model of that name can only be somebody else's, which no command here makes.

    Such are those below TRAINER_MODELS, and those that name an organisation on the hub.
    """
    home = Path(os.environ.get("TRAINER_MODELS") or ROOTS["TRAINER_MODELS"]).expanduser()
    is_below = Path(name).expanduser().absolute().is_relative_to(home.absolute())
    return is_below or ("/" in name and not looks_local(name))


def looks_local(name: str) -> bool:
    """Whether a name can only be meant as a path; a name on the hub has one slash at most."""
    first = name.split("/")[0]
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or first in FOLDERS
        or ("/" in name and at_home(first).is_dir())
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
