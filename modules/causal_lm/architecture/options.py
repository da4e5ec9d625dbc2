"""Hugging Face architectures: their options, and what of them this trainer cannot do."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import nn

from modules.weights.origin import located

Attention = Literal["documents", "sdpa", "flash_attention_2", "eager"]
"""How rows are attended. `documents` is ours: exact, without an L x L mask, and with torch's
variable-length flash kernel on a GPU; the others are Hugging Face's, led by the positions."""

Option = int | float | bool | str | None | list[int] | list[str] | dict[str, int | float | str]


def make_config(model_type: str, options: dict[str, Option]) -> Any:
    """A Hugging Face config that refuses options it does not know.

    Raises:
        ValueError: The unknown name, and the nearest known one.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if model_type not in CONFIG_MAPPING_NAMES:
        raise ValueError(
            f"unknown model_type {model_type!r}{nearest(model_type, CONFIG_MAPPING_NAMES)}"
        )
    known = AutoConfig.for_model(model_type)
    if "vocab_size" in options:
        check_text(known, "model_type")
    for name in options:
        if not hasattr(known, name):
            raise ValueError(f"{model_type} has no option {name!r}{nearest(name, known.to_dict())}")
        check_bounds(model_type, name, options[name])
    try:
        return AutoConfig.for_model(model_type, **(foreign_ids(known, options) | options))
    except Exception:  # a config that takes no None, or other options that it refuses
        return AutoConfig.for_model(model_type, **options)


def foreign_ids(known: Any, options: Mapping[str, Option]) -> dict[str, None]:
    """Special ids of the published models that a smaller vocabulary lacks; the options' own stay.

    transformers would warn of each.
    """
    vocab_size = options.get("vocab_size", getattr(known, "vocab_size", None))
    if not isinstance(vocab_size, int):
        return {}
    ids = {name: value for name, value in vars(known).items() if name.endswith("_token_id")}
    return {
        name: None
        for name, value in ids.items()
        if isinstance(value, int) and value >= vocab_size and name not in options
    }


def check_bounds(model_type: str, name: str, value: Option) -> None:
    """Refuse numbers that transformers takes, but no network can have."""
    if not isinstance(value, int | float):
        return
    if name.startswith("num_") and value < 0:
        raise ValueError(f"{model_type}: {name} must not be negative, got {value}")
    if ("dropout" in name or "pdrop" in name) and not 0 <= value < 1:
        raise ValueError(f"{model_type}: {name} must lie in [0, 1), got {value}")


def nearest(name: str, known: Any) -> str:
    """A hint at the most similar known name, or nothing."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_vocabulary(tokenizer_size: int, vocab_size: int, where: str, hint: str = "") -> None:
    """Refuse a tokenizer that has more ids than the embedding has rows."""
    if tokenizer_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer_size} ids, the embedding ({where}) {vocab_size} rows"
            f"{hint}"
        )


def check_source(source: str) -> None:
    """Refuse a local folder that does not exist before the hub is asked for it."""
    located(source)


def check_text(config: Any, where: str) -> None:
    """Refuse a model of text and something else, and name its text part.

    Raises:
        ValueError: Says which model type holds the text alone, where there is one.
    """
    others = [name for name in config.sub_configs if OTHER_PART.search(name)]
    if hasattr(config, "vocab_size") and not others:
        return
    text = getattr(config, "text_config", None) or getattr(config, "decoder", None)
    name = getattr(text, "model_type", None)
    hint = f"; its text model alone is model_type {name}" if name else ""
    parts = ", ".join(others) or "without a vocabulary"
    raise ValueError(f"{where}: {config.model_type} is more than a language model ({parts}){hint}")


OTHER_PART = re.compile(r"text|vision|audio|vq")
"""In names of parts of a config that make it one of a composite model."""


def as_decoder(config: Any) -> Any:
    """The config with an encoder's switch set to reading from left to right, exports included."""
    if getattr(config, "is_decoder", None) is False:
        config.is_decoder = True
    return config


def own_ids(config: Any, options: Mapping[str, Any]) -> Any:
    """The config without the special ids of its published models, which mean other tokens here.

    A row of the embedding that belongs to a padding id is frozen at zero; ids beyond the vocabulary
    are refused by torch. Those that the options name stay.

    Args:
        config: Of a model from scratch.
        options: What the user asked for.
    """
    is_encoder = getattr(config, "is_decoder", None) is not None  # its positions need the padding
    for name, value in list(vars(config).items()):
        if not name.endswith("_token_id") or not isinstance(value, int) or name in options:
            continue
        is_pad = name == "pad_token_id" and not is_encoder
        if is_pad or value >= config.vocab_size:
            try:
                setattr(config, name, None)
            except Exception:  # a config that takes no None says so in a class of its own
                setattr(config, name, min(value, config.vocab_size - 1))
    return config


def thaw(model: Any, options: Mapping[str, Any]) -> None:
    """Let every row of the embeddings learn, that of a padding id that was not asked for as well.

    Args:
        model: A model from scratch.
        options: What the user asked for.
    """
    if "pad_token_id" in options:
        return
    spread = getattr(model.config, "initializer_range", 0.02)
    for table in model.modules():
        row = getattr(table, "padding_idx", None)
        if isinstance(table, nn.Embedding) and row is not None:
            table.padding_idx = None
            with torch.no_grad():
                table.weight[row].normal_(0.0, spread)
