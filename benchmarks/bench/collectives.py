"""Bytes that collectives move, read from a profile; so it does not matter who asked for them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

SHARES = {
    "allreduce_": 2.0,
    "_allgather_base_": 1.0,
    "allgather_": 1.0,
    "allgather_into_tensor_coalesced_": 1.0,
    "_reduce_scatter_base_": 1.0,
    "reduce_scatter_": 1.0,
    "reduce_scatter_tensor_coalesced_": 1.0,
    "reduce_": 1.0,
    "broadcast_": 1.0,
}
"""How often a ring sends each byte of the whole tensor, times (n - 1) / n, by operator of c10d."""
WIDTH = 4
"""Bytes of an element: weights and gradients are in single precision."""


@dataclass
class Sent:
    """What one rank sends in a step.

    Attributes:
        calls: Collectives, by operator.
        elements: Elements of the whole tensors, by operator.
    """

    calls: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)

    def ring_bytes(self, world: int) -> float:
        """Bytes that each rank of a ring sends."""
        parts = (SHARES[name] * number for name, number in self.elements.items())
        return WIDTH * sum(parts) * (world - 1) / world


def sent_in(profile: Any) -> Sent:
    """The collectives of a profile that recorded shapes."""
    sent = Sent()
    for event in profile.events():
        name = event.name.removeprefix("c10d::")
        if not event.name.startswith("c10d::") or name not in SHARES:
            continue
        sent.calls[name] += 1
        sent.elements[name] += whole_size(event.input_shapes)
    return sent


def shapes(given: Any) -> Iterator[tuple[int, ...]]:
    """All shapes of tensors in the arguments of an operator, at any depth."""
    if isinstance(given, list | tuple):
        if given and all(isinstance(one, int) for one in given):
            yield tuple(given)
        else:
            for inner in given:
                yield from shapes(inner)


def whole_size(arguments: Sequence[Any]) -> int:
    """Elements of the whole tensor: those of the largest argument, a list of tensors being one."""
    return max((sum(map(prod, shapes(one))) for one in arguments), default=0)


def minimum(gradients: int, world: int) -> float:
    """Bytes that each rank must send so that all have the mean: a ring, 2 (n - 1) / n each."""
    return 2 * (world - 1) / world * gradients
