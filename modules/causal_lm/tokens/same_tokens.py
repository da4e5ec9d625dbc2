"""Models and tokenizers that must have the same tokens: sizes may agree where meanings do not."""

from pathlib import Path
from typing import Any

from modules.causal_lm.tokens.vocabulary import vocabulary_size
from modules.weights.origin import located

SHOWN = 3
"""Differing tokens that a message shows."""


def check_own_tokens(ours: Any, network: Any) -> None:
    """Make sure that a network was trained with the tokens that texts are read with.

    Ours may have more tokens after those of the network. A network that came from no file, or
    from one without a tokenizer, is taken as it is.

    Args:
        ours: The tokenizer that texts are read with.
        network: Has a `model` of transformers.

    Raises:
        ValueError: Some ids differ; counts them and shows the first.
    """
    source = read_from(network)
    if source and source != getattr(ours, "name_or_path", None):
        theirs = own_tokenizer(source)
        if theirs is not None:
            check_tokens(ours, theirs, source, may_add=True)


def read_from(network: Any) -> str:
    """Where the weights of a network were read; empty where they were drawn."""
    return str(getattr(getattr(network, "model", None), "name_or_path", "") or "")


def own_tokenizer(source: str, revision: str = "main") -> Any | None:
    """The tokenizer beside the weights of a model; None where there is none.

    Args:
        source: Folder or name on the hub; empty for a model that came from none.
        revision: On the hub.
    """
    from transformers import AutoTokenizer

    if not source or (Path(source).is_dir() and not holds_vocabulary(Path(source))):
        return None
    try:
        return AutoTokenizer.from_pretrained(located(source), revision=revision)
    except (OSError, ValueError, KeyError):
        return None


def holds_vocabulary(folder: Path) -> bool:
    """Whether a folder holds a file of a tokenizer, under any of the names that there are."""
    names = ("*token*", "vocab.*", "spiece.model", "sentencepiece*")
    return any(any(folder.glob(name)) for name in names)


def check_tokens(ours: Any, theirs: Any, model: str, may_add: bool = False) -> None:
    """Make sure that every id means the same token with a tokenizer and with a model.

    Args:
        ours: The tokenizer that texts are read with; ids that it does not have do not matter.
        theirs: The tokenizer that the model was trained with.
        model: What the model is called, for the message.
        may_add: Whether ours may have more tokens after those of the model.

    Raises:
        ValueError: Some ids differ; counts them and shows the first.
    """
    if ours is theirs:
        return
    first, other = strings(ours), strings(theirs)
    other += [None] * (len(first) - len(other))
    apart = [
        i
        for i, (a, b) in enumerate(zip(first, other, strict=False))
        if a is not None and a != b and not (may_add and b is None)
    ]
    if not apart:
        return
    shown = "; ".join(
        f"{i} is {first[i]!r} and {'nothing' if other[i] is None else repr(other[i])}"
        for i in apart[:SHOWN]
    )
    raise ValueError(
        f"{model} was trained with other tokens than those of {ours.name_or_path}: {len(apart)} of "
        f"{len(first)} ids differ: {shown}"
    )


def strings(tokenizer: Any) -> list[str | None]:
    """The strings of all ids of a tokenizer, in order; None for an id that has none."""
    return list(tokenizer.convert_ids_to_tokens(range(vocabulary_size(tokenizer))))
