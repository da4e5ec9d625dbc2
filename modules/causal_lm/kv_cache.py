"""A key-value cache that is written in place.

The caches of transformers either copy all keys and values at every token or attend to their full
length from the start. This one allocates room beyond its end, and attends to what is filled.

Shape legend: B = texts, G = heads of keys, L = positions, K = size of a head.
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer
from typing_extensions import override

ROOM = 128
"""Positions by which a layer's room grows, at least."""
GROWTH = 4
"""A layer's room grows by its length over this."""


class GrowingLayer(DynamicLayer):
    """Keys and values of a layer, with room after them; for generation, without gradients."""

    room: tuple[Tensor, Tensor] | None = None

    @override
    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.room = None
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        keys, values = self.make_room(key_states, value_states, before, after)
        keys[..., before:after, :] = key_states
        values[..., before:after, :] = value_states
        self.keys, self.values = keys[..., :after, :], values[..., :after, :]
        return self.keys, self.values

    def make_room(
        self, key_BGLK: Tensor, value_BGLK: Tensor, before: int, after: int
    ) -> tuple[Tensor, Tensor]:
        """Where `after` positions fit, the first `before` of them as they are."""
        if self.room is not None and self.is_own(self.room, before):
            if after <= self.room[0].shape[-2]:
                return self.room
        length = after + max(ROOM, after // GROWTH)
        made = []
        for new, old in ((key_BGLK, self.keys), (value_BGLK, self.values)):
            room = new.new_empty(*new.shape[:-2], length, new.shape[-1])
            if before:
                room[..., :before, :] = old
            made.append(room)
        self.room = made[0], made[1]
        return self.room

    def is_own(self, room: tuple[Tensor, Tensor], before: int) -> bool:
        """Whether the keys are still in the room; beam search replaces them."""
        return before == 0 or (
            self.keys.data_ptr() == room[0].data_ptr() and self.keys.shape[0] == room[0].shape[0]
        )

    @override
    def reset(self) -> None:
        self.room = None
        super().reset()


def growing_cache(config: Any) -> DynamicCache:
    """An empty cache for a model; layers with a sliding window stay transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(one) is DynamicLayer else one for one in cache.layers]
    return cache
