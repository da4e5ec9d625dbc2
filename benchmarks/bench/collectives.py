"""Bytes that collectives move, read from a profile; so it does not matter who asked for them.

DDP hands its buckets to the backend in C++, so only the backend's own events show everything. gloo
reduces and scatters by reducing all, which a ring of another backend does in half; c10d's events
say where that was asked for.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

SHARES = {
    "all_reduce": 2.0,
    "all_gather": 1.0,
    "reduce": 1.0,
    "broadcast": 1.0,
    "reduce_scatter": 1.0,
}
"""How often a ring sends each byte of the whole tensor, times (n - 1) / n."""
SCATTERS = ("c10d::_reduce_scatter_base_", "c10d::reduce_scatter_")
"""What asks gloo to reduce and scatter."""
WIDTHS = {"double": 8, "long int": 8, "long": 8, "c10::BFloat16": 2, "c10::Half": 2, "bool": 1}
"""Bytes of an element that is not in single precision."""


@dataclass
class Sent:
    """What one rank sends in a step.

    Attributes:
        calls: Collectives, by name.
        bytes: Of the whole tensors, by name.
    """

    calls: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, size: int, times: int = 1) -> None:
        """Count a collective of a whole tensor; of negative times, take one back."""
        self.calls[name] += times
        self.bytes[name] += times * size

    def ring_bytes(self, world: int) -> float:
        """Bytes that each rank of a ring sends."""
        shares = (SHARES[name] * size for name, size in self.bytes.items())
        return sum(shares) * (world - 1) / world


def sent_in(events: Iterable[Any], world: int) -> Sent:
    """The collectives of a profile that recorded shapes."""
    sent = Sent()
    for event in events:
        name = event.name.removeprefix("gloo:")
        if event.name.startswith("gloo:") and name in SHARES:
            sent.add(name, size(event) * (world if name == "all_gather" else 1))
        if event.name in SCATTERS:
            sent.add("reduce_scatter", size(event))
            sent.add("all_reduce", size(event), -1)
    return sent


def size(event: Any) -> int:
    """Bytes of the largest tensor among the arguments of an operator."""
    given = zip(event.input_shapes, event.input_dtypes, strict=False)
    return max((prod(shape) * WIDTHS.get(dtype, 4) for shape, dtype in given if shape), default=0)


def minimum(gradients: int, world: int) -> float:
    """Bytes that each rank must send so that all have the mean: a ring, 2 (n - 1) / n each."""
    return 2 * (world - 1) / world * gradients
