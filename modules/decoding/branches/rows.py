"""The branches that share a model, as the rows of one batch with one key-value cache.

Rows go branch by branch: row k * B + b is question b in the k-th branch of the model.

Shape legend: R = rows, L = longest prompt, N = new tokens, W = tokens of the model's vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from modules.causal_lm.forward_arguments import accepted
from modules.causal_lm.kv_cache import GrowingLayer, growing_cache
from modules.causal_lm.tokens.padding import Ids, padded, positions

CacheKind = Literal["dynamic", "static"]


class BranchRows(ABC):
    """Rows of one model.

    Args:
        model: Of transformers.
        prompts: Token ids of all rows.
        num_new: Maximum tokens that may follow; the length of a static cache depends on it.
        cache: Whether the cache grows, or has a fixed size that torch.compile can reuse.
    """

    def __init__(
        self, model: Any, prompts: Sequence[Ids], num_new: int, cache: CacheKind = "dynamic"
    ):
        self.model = model
        self.prompts = prompts
        self.num_new = num_new
        self.kind = cache
        self.cache: Any = None

    @property
    def device(self) -> torch.device:
        """Device of the model's inputs."""
        device: torch.device = self.model.device
        return device

    @abstractmethod
    def read(self, start_RN: Tensor, repeats: int) -> Tensor:
        """Read each prompt once; returns logits [R * repeats, W] of the first new token.

        Args:
            start_RN: Start of an encoder-decoder's decoder; causal models ignore it.
            repeats: Number of continuations of every row, which are adjacent.
        """

    @abstractmethod
    def step(self, token_RN: Tensor) -> Tensor:
        """Logits [R, W] after further tokens, the same number in every row."""

    def reorder(self, row_R: Tensor) -> None:
        """Replace the caches of the rows by those of others, for beam search."""
        self.cache.reorder_cache(row_R.to(self.device))

    def crop(self, num_tokens: int) -> None:
        """Drop the last tokens."""
        self.cache.crop(-num_tokens)


class CausalRows(BranchRows):
    """Rows of a causal model, padded on the left, with positions that ignore padding."""

    @override
    def read(self, start_RN: Tensor, repeats: int) -> Tensor:
        token_RL, mask_RL = padded(self.prompts, left=True, device=self.device)
        self.cache = self._empty_cache(token_RL.shape[1])
        is_repeated = repeats > 1 and not can_be_repeated(self.cache)
        if is_repeated:
            token_RL, mask_RL = (x.repeat_interleave(repeats, dim=0) for x in (token_RL, mask_RL))
        self.is_padded = not bool(mask_RL.all())
        self.num_prompt = token_RL.shape[1]
        self.length_R1 = mask_RL.sum(1, keepdim=True)
        self.mask_RL = mask_RL
        logits = self._forward(token_RL, positions(mask_RL))
        if repeats == 1 or is_repeated:
            return logits
        self.cache.batch_repeat_interleave(repeats)
        self.length_R1, self.mask_RL, logits = (
            x.repeat_interleave(repeats, dim=0) for x in (self.length_R1, self.mask_RL, logits)
        )
        return logits

    @override
    def step(self, token_RN: Tensor) -> Tensor:
        token_RN = token_RN.to(self.device)
        num = token_RN.shape[1]
        position_RN = self.length_R1 + torch.arange(num, device=self.device)
        self.length_R1 = self.length_R1 + num
        self.mask_RL = torch.nn.functional.pad(self.mask_RL, (0, num), value=1)
        return self._forward(token_RN, position_RN)

    @override
    def reorder(self, row_R: Tensor) -> None:
        super().reorder(row_R)
        row_R = row_R.to(self.device)
        self.length_R1, self.mask_RL = self.length_R1[row_R], self.mask_RL[row_R]

    @override
    def crop(self, num_tokens: int) -> None:
        super().crop(num_tokens)
        self.length_R1 = self.length_R1 - num_tokens
        self.mask_RL = self.mask_RL[:, :-num_tokens]

    def _forward(self, token_RN: Tensor, position_RN: Tensor) -> Tensor:
        extra = accepted(self.model, position_ids=position_RN, logits_to_keep=1)
        logits: Tensor = self.model(
            input_ids=token_RN,
            attention_mask=self._mask(),
            past_key_values=self.cache,
            use_cache=True,
            **extra,
        ).logits
        return logits[:, -1]

    def _mask(self) -> Tensor | None:
        """Positions that may be attended; None without padding, which is faster."""
        if not self.is_padded:
            return None
        is_prompt = (
            self.mask_RL.shape[1] == self.num_prompt
        )  # convolutions need exactly these tokens
        if self.kind == "dynamic" or is_prompt:
            return self.mask_RL
        beyond = self.length - self.mask_RL.shape[1]  # one shape for all steps; causality hides it
        return torch.nn.functional.pad(self.mask_RL, (0, beyond), value=1)

    def _empty_cache(self, prompt_length: int) -> Any:
        if self.kind == "dynamic":
            return growing_cache(self.model.config)
        from transformers import StaticCache

        self.length = prompt_length + self.num_new
        return StaticCache(config=self.model.config, max_cache_len=self.length)


class EncodedRows(BranchRows):
    """Rows of an encoder-decoder model: the encoder reads the prompts, the decoder continues."""

    @override
    def read(self, start_RN: Tensor, repeats: int) -> Tensor:
        token_RL, mask_RL = padded(self.prompts, left=False, device=self.device)
        encoded = self.model.get_encoder()(input_ids=token_RL, attention_mask=mask_RL)
        hidden_RLD = encoded.last_hidden_state.repeat_interleave(repeats, dim=0)
        self.encoded = type(encoded)(last_hidden_state=hidden_RLD)
        self.mask_RL = mask_RL.repeat_interleave(repeats, dim=0)
        self.cache = self._empty_cache(start_RN.shape[1])
        return self.step(start_RN.repeat_interleave(repeats, dim=0))

    @override
    def step(self, token_RN: Tensor) -> Tensor:
        logits: Tensor = self.model(
            decoder_input_ids=token_RN.to(self.device),
            encoder_outputs=self.encoded,
            attention_mask=self.mask_RL,
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return logits[:, -1]

    @override
    def reorder(self, row_R: Tensor) -> None:
        super().reorder(row_R)
        row_R = row_R.to(self.device)
        self.encoded = type(self.encoded)(last_hidden_state=self.encoded.last_hidden_state[row_R])
        self.mask_RL = self.mask_RL[row_R]

    def _empty_cache(self, start_length: int) -> Any:
        from transformers import DynamicCache, EncoderDecoderCache, StaticCache

        config = self.model.config.get_text_config(decoder=True)
        if self.kind == "dynamic":
            return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        own = StaticCache(config=config, max_cache_len=start_length + self.num_new)
        across = StaticCache(config=config, max_cache_len=self.mask_RL.shape[1])
        return EncoderDecoderCache(own, across)


def can_be_repeated(cache: Any) -> bool:
    """Whether a cache that has read prompts can be copied for several continuations of each.

    Layers that keep only keys and values can; those of a fixed size, of linear attention or of
    convolutions cannot, and unknown ones are assumed not to.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    known = (DynamicLayer, DynamicSlidingWindowLayer, GrowingLayer)
    return all(type(layer) in known for layer in cache.layers)


def rows_of(model: Any, prompts: Sequence[Ids], num_new: int, cache: CacheKind) -> BranchRows:
    """Rows of the kind that a model needs.

    Raises:
        ValueError: Prompt and continuation exceed the model's context, or it has no cache of keys
            and values.
    """
    room, longest = prompt_room(model, num_new), max(map(len, prompts))
    if not accepted(model, past_key_values=None):
        raise ValueError(f"{type(model).__name__} has no key-value cache to decode with")
    if room is not None and longest > room:
        suffix = f" with {num_new} new ones" if not model.config.is_encoder_decoder else ""
        raise ValueError(
            f"a prompt of {longest} tokens{suffix} is more than the model's context of "
            f"{model.config.max_position_embeddings}"
        )
    kind = EncodedRows if model.config.is_encoder_decoder else CausalRows
    return kind(model, prompts, num_new, cache)


def prompt_room(model: Any, num_new: int) -> int | None:
    """Maximum prompt length if `num_new` tokens follow; None if the model has no bound."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is None:
        return None
    return int(context) if model.config.is_encoder_decoder else int(context) - num_new
