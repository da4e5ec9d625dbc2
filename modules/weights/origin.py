"""Where weights come from: a folder of this machine, or a name on the hub."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.disk.weightless import is_weightless

HERE = Path(__file__).parents[2]
"""The repository: paths in its configs are meant from there as well."""
FOLDERS = ("assets", "checkpoints", "configs", "data", "docs", "exported", "models", "runs")
"""First parts of a path that no organisation on the hub is taken for."""
EXPORT = "python cli.py export --config CONFIG --ckpt_path last --folder {name}"
"""Makes a folder with a model and its tokenizer."""
TOKENIZER = "python cli.py tokenizer --config CONFIG --folder {name}"
"""Makes a folder with a tokenizer."""


def at_home(path: str | Path) -> Path:
    """A path as it is, or below the repository where it is only there."""
    given = Path(path).expanduser()
    return HERE / given if not given.exists() and (HERE / given).exists() else given


def located(name: str, what: str = "model", made_by: str = EXPORT) -> str:
    """What a library may be given: a folder that exists, or a name that can only be the hub's.

    A relative path is looked for below the working folder, then below the repository.

    Args:
        name: As the user wrote it.
        what: What is looked for, in a word.
        made_by: The command that makes it; `{name}` stands for the folder.

    Raises:
        FileNotFoundError: It looks like a path of this machine, but nothing is there.
    """
    if at_home(name).exists():
        return str(at_home(name))
    if not looks_local(name):
        return name
    if is_published(name):
        raise FileNotFoundError(
            f"no folder {name}: a published model belongs there, with its tokenizer; "
            "TRAINER_MODELS says where those are"
        )
    raise FileNotFoundError(
        f"no {what} folder {name}; published ones belong below TRAINER_MODELS, ours are made "
        f"by: {made_by.format(name=name)}"
    )


def is_published(name: str) -> bool:
    """Whether a model of that name can only be a published one, which no command here makes.

    Such are those below TRAINER_MODELS, and those that name an organisation on the hub.
    """
    home = Path(os.environ.get("TRAINER_MODELS") or "models").expanduser().absolute()
    is_below = Path(name).expanduser().absolute().is_relative_to(home)
    return is_below or ("/" in name and not looks_local(name))


def looks_local(name: str) -> bool:
    """Whether a name can only be meant as a path; a name on the hub has one slash at most."""
    first = Path(name).parts[0] if name else ""
    return (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or first in FOLDERS
        or ("/" in name and at_home(first).is_dir())
    )


def read(auto: Any, source: str, what: str = "model", made_by: str = EXPORT, **options: Any) -> Any:
    """Anything that a library reads from a folder or from the hub.

    Args:
        auto: Class with a `from_pretrained`.
        source: Folder or name on the hub.
        what: What is read, in a word.
        made_by: The command that makes such a folder; `{name}` stands for it.
        options: Of `from_pretrained`.

    Raises:
        FileNotFoundError: A path of this machine where nothing is.
        ValueError: It cannot be read.
    """
    path = located(source, what, made_by)
    hide_progress_bars()
    with reading(path, what, made_by):
        return auto.from_pretrained(path, **options)


def hide_progress_bars() -> None:
    """Keep transformers, where it is loaded, from drawing a bar for every file."""
    if "transformers" in sys.modules:
        from transformers.utils import logging

        logging.disable_progress_bar()


def read_tokenizer(source: str, **options: Any) -> Any:
    """A tokenizer of transformers; raises as `read` does."""
    from transformers import AutoTokenizer

    return read(AutoTokenizer, source, "tokenizer", TOKENIZER, **options)


def read_model(auto: Any, source: str, **options: Any) -> Any:
    """A model of transformers whose parameters know where they come from; raises as `read` does.

    Those that the source lacks, or has in another shape, are drawn at random and have no source.
    """
    if is_weightless():
        return shaped(auto, source, **options)
    model, info = read(auto, source, output_loading_info=True, **options)
    drawn = set(info["missing_keys"]) | {key for key, *_ in info["mismatched_keys"]}
    set_source(source, (p for name, p in model.named_parameters() if name not in drawn))
    return model


def shaped(
    auto: Any,
    source: str,
    config: Any = None,
    revision: str = "main",
    dtype: Any = None,
    attn_implementation: str | None = None,
    **options: Any,
) -> Any:
    """A model of transformers with the shapes of a source, none of whose weights are read.

    Args:
        auto: As of `read`.
        source: As of `read`.
        config: Of the model; read from the source where None.
        revision: On the hub.
        dtype: Of its weights; `auto` takes what the config says.
        attn_implementation: Its attention.
        options: What only matters where weights are read.
    """
    from transformers import AutoConfig

    found = read(AutoConfig, source, revision=revision) if config is None else config
    if dtype == "auto":
        dtype = getattr(found, "dtype", None) or torch.get_default_dtype()
    given = {"dtype": dtype, "attn_implementation": attn_implementation}
    make = getattr(auto, "from_config", None) or auto._from_config
    model = make(found, **{name: value for name, value in given.items() if value is not None})
    model.name_or_path = source
    set_source(source, model.parameters())
    return model


@contextmanager
def reading(name: str, what: str = "model", made_by: str = EXPORT) -> Iterator[None]:
    """Within it, a library's failure to load something is reported in one sentence.

    Raises:
        ValueError: Names what was to be read, and the library's reason.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if Path(name).exists():
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"no {what} could be read from {name}: {reason}") from error
        made = "" if is_published(name) else f" (made by: {made_by.format(name=name)})"
        raise ValueError(
            f"no {what} {name}: there is no such folder here{made}, and the hub gave none"
        ) from error


def set_source(source: str, parameters: Iterable[nn.Parameter]) -> None:
    """Record that the values of parameters were read from a source; copies do not inherit it."""
    for parameter in parameters:
        parameter.source = source  # type: ignore[attr-defined]


def source_of(parameter: nn.Parameter) -> str | None:
    """Where the values of a parameter were read; None where they were drawn at random."""
    return getattr(parameter, "source", None)
