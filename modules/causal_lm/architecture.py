"""Hugging Face architectures: their options, and what of them this trainer cannot do."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

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
    for name in options:
        if not hasattr(known, name):
            raise ValueError(f"{model_type} has no option {name!r}{nearest(name, known.to_dict())}")
    return AutoConfig.for_model(model_type, **options)


def nearest(name: str, known: Any) -> str:
    """A hint at the most similar known name, or nothing."""
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_vocabulary(tokenizer_size: int, vocab_size: int, where: str) -> None:
    """Refuse a tokenizer that has more ids than the embedding has rows."""
    if tokenizer_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer_size} ids, the embedding ({where}) {vocab_size} rows"
        )


def check_source(source: str) -> None:
    """Refuse a local folder that does not exist before the hub is asked for it."""
    folder = Path(source).expanduser()
    first = source.split("/")[0]
    is_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or first == "models"
    if (is_path or Path(first).is_dir()) and not folder.is_dir():
        raise FileNotFoundError(
            f"no model folder {source}; configs take its root from the variable TRAINER_MODELS"
        )


def check_attention(model: Any, attention: Attention) -> None:
    """Refuse an architecture that cannot keep packed documents apart."""
    if attention == "documents" and not getattr(model, "_supports_attention_backend", False):
        raise ValueError(
            f"{type(model).__name__} has its own attention code and would see across packed "
            "documents; set attention to 'sdpa' or 'eager' if it reads position_ids, and check"
        )


def check_plain_head(model: Any) -> None:
    """Refuse chunks of the loss where logits are more than one linear layer."""
    config = model.config
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise ValueError(f"loss_chunk needs a plain output layer, but {name} is set")
