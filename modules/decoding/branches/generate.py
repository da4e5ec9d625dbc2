"""Combined branches in the `generate` of transformers, with all of its features.

Greedy decoding, sampling, beam search, several sequences of a prompt, logits processors, stopping
criteria, several end tokens and streamers are transformers' own; only the logits of the next token
are ours. Temperature, top-k and top-p therefore act on the combined logits.

Shape legend: B = questions, S = sequences, N = tokens, V = tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin, StoppingCriteriaList
from transformers.generation import GenerationMode
from transformers.modeling_outputs import CausalLMOutputWithPast

from modules.causal_lm.generation_loop import StopAtStrings, row_processors
from modules.causal_lm.tokens.ends import StopStrings
from modules.causal_lm.tokens.padding import Ids, padded
from modules.decoding.branches.branches import Branches
from modules.decoding.branches.rows import CacheKind
from modules.decoding.branches.step import Ensemble
from modules.decoding.options import CONTINUED, refuse, refuse_inputs
from modules.weights.sharding import is_sharded

LOOPS = {
    GenerationMode.GREEDY_SEARCH: "_sample",
    GenerationMode.SAMPLE: "_sample",
    GenerationMode.BEAM_SEARCH: "_beam_search",
    GenerationMode.BEAM_SAMPLE: "_beam_search",
}
"""Loops of transformers, by the mode that the arguments of `generate` select."""


class CombinedCaches:
    """The key-value cache of transformers' loops: operations are applied to those of all branches.

    Args:
        ensemble: The branches.
    """

    is_compileable = False
    is_croppable = True

    def __init__(self, ensemble: Ensemble):
        self.ensemble = ensemble

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Follow the beams."""
        self.ensemble.reorder(beam_idx)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens that the first branch has read."""
        return self.ensemble.num_read

    def activate_past_recording(self) -> None:
        """Nothing to do: all layers keep all tokens."""

    def crop(self, tokens_to_remove: int) -> None:
        """Drop tokens."""
        self.ensemble.crop(abs(tokens_to_remove))


class CombinedModel(GenerationMixin):
    """Takes the first model's role in the loops of transformers, with all branches combined.

    Args:
        model: The first branch's.
        ensemble: The branches.
    """

    def __init__(self, model: Any, ensemble: Ensemble):
        self.config = model.config
        self.generation_config = model.generation_config
        self.device = model.device
        self.dtype = model.dtype
        self.ensemble = ensemble
        self.caches = CombinedCaches(ensemble)

    def __call__(self, input_ids: Tensor, **kwargs: Any) -> CausalLMOutputWithPast:
        """The combined logits of the next token, [S, 1, V]."""
        logits = self.ensemble.logits(input_ids)[:, None]
        return CausalLMOutputWithPast(logits=logits, past_key_values=self.caches)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        """All tokens so far; the ensemble tracks which of them are new."""
        return {"input_ids": input_ids}

    def _valid_auto_compile_criteria(self, *args: Any, **kwargs: Any) -> bool:
        return False

    @contextmanager
    def _optimize_model_for_decode(self) -> Iterator[None]:
        yield


class CombinedDecoding:
    """A `custom_generate` for one call of the first model's `generate`.

        model.generate(**inputs, custom_generate=CombinedDecoding(branches, prompts))

    Args:
        branches: Models and weights; the first model's `generate` is called, with the first
            branch's prompts.
        prompts: Token ids without padding, by branch and question.
        cache: Whether key-value caches grow, or have a fixed size that torch.compile can reuse.
        share_prompts: Whether a single model, too, reads a prompt once for all its sequences;
            otherwise it runs its own `generate`, bit for bit.
        streamer: Of transformers; given here, since transformers does not pass it to
            `custom_generate`.
        mask_BL: Which tokens of the first branch's prompts are real; without it, padding counts as
            part of the text.
        generators: One per sequence (`modules.nn.generators.generator_of`); torch's global one if
            None. Beams draw from the global one.
    """

    def __init__(
        self,
        branches: Branches,
        prompts: Sequence[Sequence[Ids]],
        cache: CacheKind = "dynamic",
        share_prompts: bool = False,
        streamer: Any = None,
        mask_BL: Tensor | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ):
        self.branches = branches
        self.prompts = prompts
        self.cache: CacheKind = cache
        self.share_prompts = share_prompts
        self.streamer = streamer
        self.mask_BL = mask_BL
        self.generators = generators

    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: GenerationConfig,
        **given: Any,
    ) -> Any:
        """Run the loop that the arguments of `generate` select.

        Raises:
            ValueError: The mode has no loop here, or the prompts are not those of `input_ids`.
        """
        mode = generation_config.get_generation_mode()
        if mode not in LOOPS:
            raise ValueError(f"{mode.value} cannot be combined; there are {modes()}")
        loop = getattr(type(model), LOOPS[mode])
        own = self.generators if mode == GenerationMode.SAMPLE else None
        common = {
            "logits_processor": row_processors(
                logits_processor, generation_config, self.mask_BL, own
            ),
            "stopping_criteria": stopping_criteria,
            "generation_config": generation_config,
        }
        if self.streamer is not None:
            common["streamer"] = self.streamer
        if self.branches.is_plain and not self.share_prompts:
            return loop(model, input_ids, **common, **{"synced_gpus": is_sharded(model), **given})
        num_new = int(generation_config.max_length) - input_ids.shape[1]
        ensemble = Ensemble(self.branches, self.prompts, num_new, self.cache)
        self._check(model, input_ids, ensemble)
        combined = CombinedModel(model, ensemble)
        loop = getattr(GenerationMixin, LOOPS[mode])
        synced = any(is_sharded(one.model) for one in self.branches.branches)
        with ensemble.few_at_a_time():
            return loop(combined, input_ids, **common, synced_gpus=synced, use_cache=True)

    def _check(self, model: Any, token_SN: Tensor, ensemble: Ensemble) -> None:
        if model is not self.branches.first.model:
            raise ValueError("call the `generate` of the first branch's model")
        if token_SN.shape[0] % ensemble.num_questions:
            raise ValueError(
                f"{token_SN.shape[0]} sequences are not a multiple of the "
                f"{ensemble.num_questions} questions whose prompts were given"
            )
        if model.config.is_encoder_decoder:
            return
        longest = max(map(len, self.prompts[0]))
        if token_SN.shape[1] != longest:
            raise ValueError(
                f"generate was given prompts of {token_SN.shape[1]} tokens, but the first branch's "
                f"longest prompt has {longest}"
            )


def modes() -> str:
    """Names of the modes that can be combined."""
    return ", ".join(mode.value for mode in LOOPS)


@torch.no_grad()
def generate(
    branches: Branches,
    prompts: Sequence[Sequence[Ids]],
    *,
    cache: CacheKind = "dynamic",
    share_prompts: bool = False,
    stop_strings: Sequence[str] = (),
    streamer: Any = None,
    generators: Sequence[torch.Generator] | None = None,
    **arguments: Any,
) -> Any:
    """Continue the prompts of all branches by the same tokens.

    Args:
        branches: Models and weights.
        prompts: Token ids without padding, by branch and question.
        cache: Whether key-value caches grow or have a fixed size.
        share_prompts: Whether a single model, too, reads a prompt once for all its sequences.
        stop_strings: Texts that end a sequence if they occur in its new tokens.
        streamer: Of transformers.
        generators: One per sequence; torch's global one if None.
        arguments: Of transformers' `generate`.

    Returns:
        What `generate` returns: for causal models the first branch's prompts, padded on the left,
        followed by the new tokens, [S, N]; or its dictionary.

    Raises:
        ValueError: An option that is given in another way here (`modules.decoding.options`).
    """
    refuse(arguments, CONTINUED)
    refuse_inputs(arguments)
    first = branches.first
    model, pad = first.model, pad_id(first.tokenizer)
    is_left = not model.config.is_encoder_decoder
    token_BL, mask_BL = padded(prompts[0], is_left, model.device, pad)
    if stop_strings:
        num_prompt = token_BL.shape[1] if is_left else 1
        stops = StopAtStrings(StopStrings(first.tokenizer, stop_strings), num_prompt)
        given = arguments.pop("stopping_criteria", None) or []
        arguments["stopping_criteria"] = StoppingCriteriaList([*given, stops])
    if cache != "dynamic" and branches.is_plain and not share_prompts:
        arguments["cache_implementation"] = cache  # one model manages its own cache
    arguments.setdefault("pad_token_id", pad)
    return model.generate(
        input_ids=token_BL,
        attention_mask=mask_BL,
        streamer=streamer,
        custom_generate=CombinedDecoding(
            branches,
            prompts,
            cache,
            share_prompts,
            streamer,
            mask_BL if is_left else None,
            generators,
        ),
        **arguments,
    )


def pad_id(tokenizer: Any) -> int:
    """The padding id; the end token if there is no other."""
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        found = getattr(tokenizer, name)
        if found is not None:
            return int(found)
    return 0
