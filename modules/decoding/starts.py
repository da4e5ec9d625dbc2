"""How the decoder of an encoder-decoder model begins: its start token, and a forced first token.

T5, Pegasus and Marian generate right after their start token. BART and mBART are forced to write a
token first (start of sentence, language), which is not part of the answer.
"""

from collections.abc import Sequence
from typing import Any


def start_id(model: Any) -> int:
    """Start token of the decoder of an encoder-decoder model.

    Raises:
        ValueError: The model does not define one.
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
