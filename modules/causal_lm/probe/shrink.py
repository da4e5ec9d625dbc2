"""The same architecture with few, narrow layers, so that it can be tried in a second.

What says how something is computed stays: types of layers, activations, scalings, switches. Only
sizes go down: one layer of each kind (two at least), a width of at most 64, four experts, windows
of 8 tokens.
"""

import copy
import re
from typing import Any

from modules.causal_lm.probe.windows import POSITIONS, WINDOW, WINDOWS, dictionaries, overrides

WIDTH = 64
"""Of the shrunk model, at most."""
HEADS = 4
"""Of its attention; key-value heads keep about their share."""
VOCABULARY = 96
"""Rows of its embedding; ids of special tokens that do not fit become the last."""
MOST_LAYERS = 8
"""Of the shrunk model, where each is of its own kind."""

WIDTHS = ("hidden_size", "embedding_dim", "d_model", "emb_dim", "n_embd")
PAIRS = {
    "head_dim": "num_attention_heads",
    "attention_head_dim": "num_attention_heads",
    "attention_head_size": "num_attention_heads",
    "kv_channels": "num_attention_heads",
    "d_head": "num_attention_heads",
    "dim_head": "num_attention_heads",
    "swa_head_dim": "swa_num_attention_heads",
    "mamba_d_head": "mamba_n_heads",
    "mamba_headdim": "n_mamba_heads",
    "mamba_head_dim": "mamba_num_heads",
    "linear_head_dim": "linear_num_heads",
    "linear_key_head_dim": "linear_num_key_heads",
    "linear_value_head_dim": "linear_num_value_heads",
}
"""Sizes of heads, and the option that says how many heads there are."""
FIXED = {
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 16,
    "n_group": 2,
    "num_expert_group": 2,
    "topk_group": 1,
    "max_position_embeddings": POSITIONS,
    "max_seq_len": POSITIONS,
    "model_max_length": POSITIONS,
    "n_positions": POSITIONS,
    "n_ctx": POSITIONS,
    "num_nextn_predict_layers": 0,
    "index_head_dim": 16,
    "index_topk_blocks": 1,
    "index_block_size": 4,
}
"""Sizes that go together with one another, where they are larger."""
IS_HEADS = re.compile(r"(^|_)heads?$|num_heads|n_heads|heads_per_layer|_groups?s?$|ngroups")
IS_EXPERTS = re.compile(r"(num|n)_(routed_|local_)?experts$|expert_num$")
IS_CHOSEN = re.compile(r"experts_per_tok|moe_topk|moe_k$|moe_top_k")
IS_KEPT = re.compile(
    r"period$|offset$|interval$|step$|pattern$|every_n_layers$|token_id|layers|^seed"
)
IS_INDICES = re.compile(r"(_idxs|layer_ids|^moe_layers|only_layers)$")


def shrink(config: Any, is_narrow: bool = True) -> Any:
    """A copy of a Hugging Face config with everything that costs time made small.

    Args:
        config: Of a causal language model; text alone.
        is_narrow: Whether widths and heads are made small as well.
    """
    small = copy.deepcopy(config)
    keep_layers(small)
    narrow(small, small, None if is_narrow else 0)
    fit_rotary(small)
    return small


# Layers


def keep_layers(config: Any) -> None:
    """Keep the first layer of each kind, and two at least."""
    total = int(config.num_hidden_layers)
    listed = {k: v for k, v in vars(config).items() if is_by_layer(v, total)}
    indices = {k: v for k, v in vars(config).items() if IS_INDICES.search(k) and is_indices(v)}
    own = overrides(config)
    borrowing = total - (getattr(config, "num_kv_shared_layers", 0) or 0)
    seen: set[str] = set()
    kept: list[int] = []
    for layer in range(total):
        facts = [v[layer] for v in listed.values()] + [layer in v for v in indices.values()]
        kind = str([*facts, own.get(layer), layer >= borrowing])
        if kind not in seen and len(kept) < MOST_LAYERS:
            kept.append(layer)
            seen.add(kind)
    wanted = least_layers(config, total) if not listed and not indices else min(2, total)
    kept = sorted(kept + [i for i in range(total) if i not in kept][: max(0, wanted - len(kept))])
    for name, values in listed.items():
        setattr(config, name, [values[i] for i in kept])
    for name, values in indices.items():
        setattr(config, name, [new for new, old in enumerate(kept) if old in values])
    if borrowing < total:
        config.num_kv_shared_layers = sum(layer >= borrowing for layer in kept)
    config.num_hidden_layers = len(kept)
    for name in ("encoder_layers", "decoder_layers"):  # of architectures with two stacks
        if isinstance(vars(config).get(name), int):
            setattr(config, name, len(kept))
    if own:
        wide = max(width(config, name) for name in WIDTHS)
        config.per_layer_config = {
            new: {k: shrunk(k, v, vars(config), wide) for k, v in own[old].items()}
            for new, old in enumerate(kept)
            if old in own
        }


def shrunk(name: str, value: Any, options: dict[str, Any], wide: int) -> Any:
    """What an option of any type becomes; only whole numbers change."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return smaller(name, value, options, wide) if is_number else value


def is_by_layer(value: Any, total: int) -> bool:
    """Whether an option has one entry for each layer."""
    return isinstance(value, list) and len(value) == total > 1


def is_indices(value: Any) -> bool:
    """Whether an option is a list of numbers."""
    return isinstance(value, list) and all(isinstance(one, int) for one in value)


def least_layers(config: Any, total: int) -> int:
    """As many as it takes to see each kind, where a period or a pattern says which is which."""
    periods = [
        v
        for k, v in vars(config).items()
        if re.search(r"(period|interval|step|every_n_layers|first_k_dense_replace)$", k)
        and isinstance(v, int)
    ]
    pattern = len(getattr(config, "block_types", ()) or ())
    return min(total, max([2, pattern, *(1 + p for p in periods if p < MOST_LAYERS)]))


# Widths


def narrow(config: Any, outer: Any, wide: int | None = None) -> None:
    """Make widths, heads, experts, windows and the vocabulary small, nested parts as well.

    Args:
        config: Of the model, or of a part of it.
        outer: Of the model.
        wide: Width of the model; widths are left alone where it is 0.
    """
    if wide is None:
        wide = max((width(outer, name) for name in WIDTHS), default=0)
    before = dict(vars(config))
    for name, value in before.items():
        if isinstance(value, dict) or hasattr(value, "to_dict"):
            continue
        if IS_HEADS.search(name) and is_indices(value) and wide > WIDTH:
            setattr(config, name, [min(HEADS, one) for one in value])
        new = shrunk(name, value, before, wide)
        if new is not value and new != value:
            setattr(config, name, new)
    for part in getattr(config, "sub_configs", {}):
        if getattr(config, part, None) is not None:
            narrow(getattr(config, part), outer, wide)


def width(config: Any, name: str) -> int:
    """An option that says how wide a model is; 0 where it has none of that name."""
    value = vars(config).get(name)
    return value if isinstance(value, int) else 0


def smaller(name: str, value: int, options: dict[str, Any], wide: int) -> int:
    """What an option becomes.

    Args:
        name: Of the option.
        value: Of the option.
        options: All of them, as they were.
        wide: Width of the model; widths stay where it is small already.
    """
    if name in ("vocab_size", "n_words", "n_token") or name.startswith("vocab_size_"):
        return VOCABULARY
    if "token_id" in name or name.endswith(("token_index", "_index")):
        return min(value, VOCABULARY - 1)
    if name in WINDOWS:
        return min(value, WINDOW)
    if IS_EXPERTS.search(name):
        return min(value, HEADS)
    if IS_CHOSEN.search(name):
        return min(value, 2)
    if IS_KEPT.search(name) or wide <= WIDTH:
        return min(value, FIXED[name]) if name in FIXED and "group" not in name else value
    if name in FIXED:
        return min(value, FIXED[name])
    if name == "head_dim" and options.get("kv_lora_rank"):  # latent attention: the rotated part
        return min(value, FIXED["qk_rope_head_dim"])
    if name in PAIRS:
        heads = options.get(PAIRS[name]) or options.get("n_head") or options.get("num_heads") or 1
        heads = heads if isinstance(heads, int) else max(heads)
        share = value * heads / wide
        return max(4, min(WIDTH, round(share * WIDTH / min(HEADS, heads) / 4) * 4))
    if IS_HEADS.search(name):
        return fewer_heads(name, value, options)
    if value <= 16:
        return value
    return max(8, min(2 * WIDTH, round(value * WIDTH / wide / 4) * 4))


def fewer_heads(name: str, value: int, options: dict[str, Any]) -> int:
    """Heads of the shrunk model; those of keys and values keep about their share."""
    query = options.get("num_attention_heads") or options.get("n_head") or value
    is_shared = re.search(r"kv|key_value|groups", name) is not None and isinstance(query, int)
    if is_shared and value < query:
        return 1 if value == 1 else 2
    return min(value, HEADS)


# Rotary embeddings


def fit_rotary(config: Any) -> None:
    """Cut lists of factors, and windows beyond which they change, to the smaller heads."""
    for part in dictionaries(getattr(config, "rope_parameters", None)):
        if "original_max_position_embeddings" in part:
            part["original_max_position_embeddings"] = WINDOW
        if part.get("rope_type") == "dynamic":
            config.max_position_embeddings = WINDOW
        size = vars(config).get("head_dim") or config.hidden_size // config.num_attention_heads
        half = int(size * part.get("partial_rotary_factor", 1.0)) // 2
        for name in ("short_factor", "long_factor"):
            if isinstance(part.get(name), list):
                part[name] = part[name][:half]
        if isinstance(part.get("mrope_section"), list):
            part["mrope_section"] = [half - 2 * (half // 3), half // 3, half // 3]
