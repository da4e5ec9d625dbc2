"""Text from a causal language model, through the `generate` of transformers.

Shape legend: B = prompts, L = longest prompt, N = longest sequence with its continuation.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from modules.causal_lm.architecture.weight_layout import column_major, is_faster
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.tokens.ends import StopStrings, token_ids
from modules.weights.sharding import is_sharded

Processor = Callable[[Tensor, Tensor], Tensor]
"""From the tokens so far [B, N] and the scores of the next one [B, V] to other scores [B, V]."""


@dataclass(frozen=True)
class Generation:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: Tokens after the prompt, at most.
        temperature: Divides the logits; 0 takes the most likely token.
        top_k: Number of most likely tokens kept; all where None.
        top_p: Probability mass of most likely tokens kept (Holtzman et al., 2020).
        repetition_penalty: Divides the positive scores of tokens that were seen; 1 is none.
        stop: Strings that end a text; the prompt is not searched.
        ends: Tokens that end a text beside the tokenizer's own, by string or id, such as the end of
            a turn in chats.
        seed: Of the draws; what is drawn for a prompt depends on it and on the prompt alone.
        cache: Key-value cache that grows in place (`modules.causal_lm.kv_cache`), or one of fixed
            size that torch.compile can reuse.
    """

    max_new_tokens: int = 128
    temperature: float = 0.8
    top_k: int | None = 50
    top_p: float | None = None
    repetition_penalty: float = 1.0
    stop: list[str] = field(default_factory=list)
    ends: list[int | str] = field(default_factory=list)
    seed: int = 0
    cache: Literal["dynamic", "static"] = "dynamic"

    def __post_init__(self) -> None:
        """Refuse what cannot be sampled from."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}")
        if "" in self.stop:
            raise ValueError("a stop string is empty, and would end every text at once")

    def arguments(self) -> dict[str, Any]:
        """Arguments of transformers' `generate`."""
        greedy = self.temperature == 0
        sampling: dict[str, Any] = {
            "temperature": self.temperature,
            "top_k": self.top_k if self.top_k is not None else 0,
            "top_p": self.top_p if self.top_p is not None else 1.0,
        }
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": not greedy,
            "repetition_penalty": self.repetition_penalty,
            **({} if greedy else sampling),
        }


@torch.no_grad()
def generate(
    network: LanguageModel,
    token_BL: Tensor,
    mask_BL: Tensor,
    tokenizer: Any,
    how: Generation,
    processors: Sequence[Processor] = (),
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """Continue left-padded prompts.

    Args:
        network: The model.
        token_BL: Prompts, padded on the left.
        mask_BL: True where a token is real.
        tokenizer: Its end-of-text token ends a text, and its texts are searched for the stops.
        how: How tokens are chosen.
        processors: Change the scores of the next tokens before one is chosen.
        generators: Where the draws come from, one a prompt (`modules.nn.generators`); torch's own,
            in which prompts of a batch depend on each other, where None.

    Returns:
        Token ids [B, N], the prompts included; after an end, padding.

    Raises:
        ValueError: Prompt and continuation are longer than the model's context, or the
            architecture cannot be sampled from.
    """
    check_room(network, token_BL.shape[1], how)
    from transformers import LogitsProcessorList, StoppingCriteriaList  # takes seconds

    from modules.causal_lm.generation_loop import IndependentRows, StopAtStrings

    end, ends = tokenizer.eos_token_id, end_ids(how, tokenizer)
    arguments = how.arguments()
    if how.cache != "dynamic":
        arguments["cache_implementation"] = how.cache
    if processors:
        arguments["logits_processor"] = LogitsProcessorList(processors)
    if how.stop:
        stops = StopStrings(tokenizer, how.stop)
        arguments["stopping_criteria"] = StoppingCriteriaList(
            [StopAtStrings(stops, token_BL.shape[1])]
        )
    is_worthwhile = is_faster(token_BL.shape[0], how.max_new_tokens, token_BL.device)
    with column_major(network.model) if is_worthwhile else nullcontext():
        return network.generate(
            token_BL,
            mask_BL,
            eos_token_id=sorted(ends) or None,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end,
            custom_generate=IndependentRows(mask_BL, generators, is_sharded(network)),
            **arguments,
        )


def end_ids(how: Generation, tokenizer: Any) -> set[int]:
    """Ids that end a text: the tokenizer's own end, and those that are asked for."""
    own = tokenizer.eos_token_id
    return token_ids(how.ends, tokenizer) | ({own} if own is not None else set())


def check_room(network: LanguageModel, num_tokens: int, how: Generation) -> None:
    """Check that a prompt of so many tokens can be continued.

    Raises:
        ValueError: Prompt and continuation are longer than the model's context.
    """
    wanted = num_tokens + how.max_new_tokens
    if network.context is not None and wanted > network.context:
        raise ValueError(
            f"a prompt of {num_tokens} tokens and {how.max_new_tokens} new ones are more than the "
            f"model's context of {network.context}"
        )


def cut(text: str, stops: Sequence[str]) -> str:
    """A continuation up to its first stop string, which is left out."""
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
