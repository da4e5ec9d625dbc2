"""Splits that share no graph: every class of isomorphic graphs belongs to one split.

The class is known by its Weisfeiler-Lehman hash (Shervashidze et al., 2011). Isomorphic graphs have
the same hash, so no graph of one split is isomorphic to one of another, whatever seeds they are
drawn with. Different graphs of one hash only fall into the same split together.
"""

import hashlib
from typing import Literal

from datamodules.graphs.draw.topology import Pair

Split = Literal["train", "validate", "test"]
SHARES: dict[Split, float] = {"train": 0.5, "validate": 0.2, "test": 0.3}
"""Share of the classes of each split."""
ROUNDS = 3
"""Rounds of refinement."""


def split_of(num_nodes: int, pairs: list[Pair], is_directed: bool) -> Split:
    """The split that a graph belongs to; weights and the order of nodes and edges don't matter."""
    number = int(graph_hash(num_nodes, pairs, is_directed)[:8], 16) / 16**8
    for name, share in SHARES.items():
        if number < share:
            return name
        number -= share
    return "test"


def graph_hash(num_nodes: int, pairs: list[Pair], is_directed: bool) -> str:
    """The same for isomorphic graphs; labels are refined by those of the neighbours."""
    after: list[list[int]] = [[] for _ in range(num_nodes)]
    before: list[list[int]] = [[] for _ in range(num_nodes)]
    for a, b in pairs:
        after[a].append(b)
        before[b].append(a)
        if not is_directed:
            after[b].append(a)
    label = [
        f"{len(after[node])}/{len(before[node]) if is_directed else ''}"
        for node in range(num_nodes)
    ]
    for _ in range(ROUNDS):
        combined = [
            f"{label[node]}>{sorted(label[other] for other in after[node])}"
            + (f"<{sorted(label[other] for other in before[node])}" if is_directed else "")
            for node in range(num_nodes)
        ]
        label = [digest(one) for one in combined]
    return digest(f"{num_nodes} {is_directed} {sorted(label)}")


def digest(text: str) -> str:
    """A short hash."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
