"""Folders that stand for models and tokenizers that are not here: their shapes are enough."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from engine.config.parser import refuse

KNOWN = Path(__file__).parents[2] / "assets" / "shapes"
"""Shapes of the published models that our configs name."""
MODELS, TOKENIZERS = ("source",), ("tokenizer",)
"""Keys whose values are folders or names on the hub."""
MARKS = ("bos", "eos", "pad", "mask", "unk", "cls", "sep")


def missing_folders(config: Namespace) -> Iterator[tuple[str, str]]:
    """Keys of the model and the data that name a model or a tokenizer that is not here."""
    for key, value in config.items():
        last = key.rpartition(".")[2]
        if last not in MODELS + TOKENIZERS or not isinstance(value, str) or not value:
            continue
        if key.startswith(("model.", "data.")) and not is_here(value):
            yield key, value


def is_here(folder: str) -> bool:
    """Whether a folder is on this machine, from here or from the repository."""
    given = Path(folder).expanduser()
    return given.exists() or (KNOWN.parents[1] / given).exists()


def stand_in(config: Namespace, shapes: list[str], folder: Path) -> list[str]:
    """Let shapes stand for what is not here.

    Args:
        config: Changed in place.
        shapes: Folders to look in, before the shapes that we know.
        folder: Where to write stand-ins.

    Returns:
        A line on each.
    """
    lines: dict[str, str] = {}
    for key, value in list(missing_folders(config)):
        name = Path(value).name
        shape = found_shape(name, shapes)
        if shape is None:
            if key.rpartition(".")[2] in TOKENIZERS or key.endswith("network.init_args.source"):
                refuse_missing(key, value)
            continue
        made = folder / name
        if not made.is_dir():
            write_stand_in(json.loads(shape.read_text()), made)
        config[key] = str(made)
        lines[value] = f"{value} is not here: counted by the shape in {shape}"
    return list(lines.values())


def refuse_missing(key: str, value: str) -> None:
    """End with what is missing and how to give it."""
    name = Path(value).name
    asked = "vocab_size" if key.endswith("tokenizer") else "the sizes of the model"
    refuse(
        f"{key}: {value} is not here, and no shape of that name is known: write {asked} to "
        f"FOLDER/{name}/config.json, as its publisher has it, and give --shapes FOLDER"
    )


def found_shape(name: str, shapes: list[str]) -> Path | None:
    """The config.json of a name."""
    files = (Path(folder) / name / "config.json" for folder in [*shapes, str(KNOWN)])
    return next((file for file in files if file.is_file()), None)


def write_stand_in(shape: dict[str, Any], folder: Path) -> None:
    """A folder with the config of a model and a tokenizer of as many tokens.

    Args:
        shape: Of its config.json; `tokenizer_size` where it has more rows than tokens.
        folder: New.
    """
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    size = int(shape.get("tokenizer_size", shape["vocab_size"]))
    words = [f"<{n}>" for n in range(size)]
    marks = {f"{mark}_token": words[mark_id(shape, mark, n, size)] for n, mark in enumerate(MARKS)}
    inner = models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=words[0])
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(inner), **marks).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(shape))


def mark_id(shape: dict[str, Any], mark: str, other: int, size: int) -> int:
    """The id of a special token; of the config where that says one."""
    said = shape.get(f"{mark}_token_id")
    said = said[0] if isinstance(said, list) and said else said
    return said if isinstance(said, int) and 0 <= said < size else min(other, size - 1)
