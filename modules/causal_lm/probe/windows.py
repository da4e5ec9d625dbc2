"""Options of an architecture from whose value on it computes something else.

Local layers see a window of tokens, sparse ones choose among many, and some rotary embeddings
change their frequencies beyond the positions that they were made for.
"""

import copy
from collections.abc import Iterator
from typing import Any

WINDOW = 8
"""Tokens that its local layers see."""
POSITIONS = 128
"""Learned positions, and those that a rotary embedding was made for."""
WINDOWS = (
    "sliding_window",
    "sliding_window_size",
    "attention_window_size",
    "attention_chunk_size",
    "keep_window_size",
    "window_size",
    "local_attention",
    "local_attention_window_len",
    "index_topk",
    "floor_scale",
    "log_scaling_n_floor",
    "rel_extent",
    "original_max_position_embeddings",
)
"""Options: lengths beyond which a model computes something other than causal attention."""


def windows(config: Any) -> dict[str, int]:
    """Options beyond whose value a model may compute something else, with the smallest value."""
    found: dict[str, int] = {}
    parts = [vars(config), *overrides(config).values()]
    parts += dictionaries(vars(config).get("rope_parameters"))
    for part in parts:
        for name in WINDOWS:
            if isinstance(part.get(name), int) and part[name] > 0:
                found[name] = min(part[name], found.get(name, part[name]))
    if is_dynamic(config):
        found["max_position_embeddings"] = int(config.max_position_embeddings)
    return found


def is_dynamic(config: Any) -> bool:
    """Whether rotary frequencies change beyond the positions that a model was made for."""
    parts = dictionaries(vars(config).get("rope_parameters"))
    return any(part.get("rope_type") == "dynamic" for part in parts)


def with_window(small: Any, kept: str) -> Any:
    """A copy of a shrunk config in which one window alone is small."""
    config = copy.deepcopy(small)
    for part in (vars(config), *dictionaries(vars(config).get("rope_parameters"))):
        for name in (*WINDOWS, "max_position_embeddings"):
            if name != kept and isinstance(part.get(name), int) and 0 < part[name] <= WINDOW:
                part[name] = POSITIONS
    return config


def overrides(config: Any) -> dict[int, dict[str, Any]]:
    """Options that are others in some layers, by the number of the layer."""
    written = config.to_dict().get("per_layer_config") or {}
    return {int(layer): options for layer, options in written.items()}


def dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """A dictionary and those inside it."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from dictionaries(one)
