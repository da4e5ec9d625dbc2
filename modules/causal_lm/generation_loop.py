"""Our additions to the loops of transformers: draws, ends and padding that belong to each row.

What a row gets does not depend on the other rows of its batch.

Shape legend: S = sequences, B = prompts, L = longest prompt, N = tokens so far, V = tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
)

from modules.causal_lm.tokens.ends import CONTEXT, StopStrings
from modules.nn.generators import draw

Generators = Sequence[torch.Generator]


class RowSampler(LogitsProcessor):
    """Draws the next tokens, and leaves each sequence no other choice.

    Comes last among the processors, after temperature, top-k and top-p; what the loop then draws
    is certain. Scores that `generate` returns say no more than which token that was.

    Args:
        generators: One a sequence, in order (`modules.nn.generators`).
    """

    def __init__(self, generators: Generators):
        self.generators = generators

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [S, V]: 0 for the drawn token, minus infinity for all others."""
        token_S = draw(scores.float().softmax(-1), self.generators)
        return torch.full_like(scores, -torch.inf).scatter_(1, token_S[:, None], 0.0)


class IgnorePadding(LogitsProcessor):
    """Processors that see each sequence's first token at the positions of its padding.

    A penalty on tokens that were seen then does not depend on how long the other prompts are.

    Args:
        processors: The processors.
        mask_BL: Which tokens of the prompts are real; padding is on the left.
    """

    def __init__(self, processors: LogitsProcessorList, mask_BL: Tensor):
        self.processors = processors
        self.mask_BL = mask_BL.bool()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The processors' scores [S, V]."""
        repeats = len(input_ids) // len(self.mask_BL)
        mask_SL = self.mask_BL.to(input_ids.device).repeat_interleave(repeats, dim=0)
        prompt_SL = input_ids[:, : mask_SL.shape[1]]
        first_S1 = prompt_SL.gather(1, mask_SL.long().argmax(1, keepdim=True))
        own_SL = torch.where(mask_SL, prompt_SL, first_S1)
        whole_SN = torch.cat([own_SL, input_ids[:, mask_SL.shape[1] :]], dim=1)
        changed: Tensor = self.processors(whole_SN, scores)
        return changed


class StopAtStrings(StoppingCriteria):
    """Ends sequences in whose new tokens a stop string has occurred.

    Args:
        stops: The strings.
        num_prompt: Tokens of the prompts, padding included.
    """

    def __init__(self, stops: StopStrings, num_prompt: int):
        self.stops = stops
        self.num_prompt = num_prompt

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **kwargs: Any) -> Tensor:
        """Which sequences are over, [S]."""
        rows, num = input_ids.tolist(), self.num_prompt
        is_over = [
            self.stops.have_come(row[max(0, num - CONTEXT) : num], row[num:]) for row in rows
        ]
        return torch.tensor(is_over, dtype=torch.bool, device=input_ids.device)


def row_processors(
    processors: LogitsProcessorList,
    how: GenerationConfig,
    mask_BL: Tensor | None = None,
    generators: Generators | None = None,
) -> LogitsProcessorList:
    """Processors for rows that do not affect each other.

    Args:
        processors: Those that the arguments of `generate` ask for.
        how: Says whether tokens are drawn.
        mask_BL: Which tokens of prompts padded on the left are real; None where none is padding.
        generators: One a sequence; transformers draws from torch's own where None.
    """
    if mask_BL is not None and not bool(mask_BL.all()):
        processors = LogitsProcessorList([IgnorePadding(processors, mask_BL)])
    if generators is not None and how.do_sample:
        processors = LogitsProcessorList([*processors, RowSampler(generators)])
    return processors


class IndependentRows:
    """A `custom_generate`: transformers' own loop, with rows that do not affect each other.

    Args:
        mask_BL: Which tokens of the prompts are real.
        generators: One a sequence; transformers draws from torch's own where None.
        synced_gpus: Whether all ranks must take every step, since weights are sharded.
    """

    def __init__(
        self, mask_BL: Tensor, generators: Generators | None = None, synced_gpus: bool = False
    ):
        self.mask_BL = mask_BL
        self.generators = generators
        self.synced_gpus = synced_gpus

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: Any,
        generation_config: GenerationConfig,
        **given: Any,
    ) -> Any:
        """Run the loop."""
        own = row_processors(logits_processor, generation_config, self.mask_BL, self.generators)
        return type(model)._sample(
            model,
            input_ids,
            logits_processor=own,
            stopping_criteria=stopping_criteria,
            generation_config=generation_config,
            **{"synced_gpus": self.synced_gpus, **given},
        )
