"""What the decoder of an encoder-decoder model begins with: its start, and a forced first token.

T5, Pegasus and Marian write right behind their start; BART and mBART are made to write a token
first (the beginning of a sentence, a language), which is no part of what they have to say.
"""

from collections.abc import Sequence
from typing import Any


def start_id(model: Any) -> int:
    """What the decoder of an encoder-decoder model begins with.

    Raises:
        ValueError: The model does not say.
    """
    for config in (model.generation_config, model.config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            found = getattr(config, name, None)
            if found is not None:
                return int(found)
    raise ValueError("the model has no decoder_start_token_id")


def forced_ids(model: Any) -> list[int]:
    """The token that an encoder-decoder model must write first; none for others."""
    forced = getattr(model.generation_config, "forced_bos_token_id", None)
    return [] if forced is None or not model.config.is_encoder_decoder else [int(forced)]


def without_lead(lead: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Tokens without the one that was forced."""
    is_led = bool(lead) and list(ids[: len(lead)]) == list(lead)
    return list(ids[len(lead) :]) if is_led else list(ids)
