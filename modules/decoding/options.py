"""Options of transformers' `generate` that are given in another way here, and so are refused.

An option that a caller gives is used or refused: none is overwritten or ignored silently.
"""

from collections.abc import Collection, Iterable
from inspect import signature

ANSWERED = {
    "cache": "the Decoder's own argument says it",
    "share_prompts": "the Decoder's own argument says it",
    "generators": "seed and names say what is drawn",
    "generation_config": "give its options by name",
    "max_length": "max_new_tokens says it",
    "tokenizer": "the first branch's is used",
}
"""Options of a decoder that answers questions, and what to do instead."""
CONTINUED = {
    "inputs": "the prompts say it",
    "decoder_input_ids": "forced_bos_token_id, or the model's config, says how a decoder begins",
    "use_cache": "the branches always have caches",
    "cache_implementation": "cache says it",
    "custom_generate": "the branches are one",
    "synced_gpus": "it follows from the models' weights",
    "token_healing": "the prompts are read as they are",
}
"""Options of branches that continue prompts, and what to do instead."""


def refuse(given: Iterable[str], known: dict[str, str]) -> None:
    """Refuse options that would be overwritten or ignored.

    Args:
        given: Names of the options that a caller gives.
        known: What to do instead, by name.

    Raises:
        ValueError: Names the first such option.
    """
    for name in given:
        if name in known:
            raise ValueError(f"generate takes no {name} here: {known[name]}")


def refuse_inputs(given: Iterable[str]) -> None:
    """Refuse what is not an option of transformers' `generate` but an input of one model.

    Raises:
        ValueError: Names the first of them.
    """
    from transformers import GenerationConfig, GenerationMixin  # takes seconds

    options = {*GenerationConfig().to_dict(), *signature(GenerationMixin.generate).parameters}
    reason = "it is not an option of generation, and models read only the prompts"
    refuse(given, {name: reason for name in given if name not in options})


def strings(given: Collection[str] | str | None) -> list[str]:
    """One string, several or none, as a list."""
    return [given] if isinstance(given, str) else list(given or ())
