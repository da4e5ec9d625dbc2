"""Small programs about graphs with what they print: code to mix in with problems in words.

The authors mix general and graph code into the training data; theirs carry no licence, so these
programs are drawn. Code of other sources is mixed in as any other source of conversations.
"""

import json
from collections.abc import Iterator
from random import Random

from typing_extensions import override

from datamodules.graphs.draw.topology import STRUCTURES
from datamodules.instructions.chats import ANSWERS, Conversation
from datamodules.instructions.source import ConversationSource
from datamodules.records.document import Document
from datamodules.text.source import SyntheticText

QUESTION = "What does this program print?"
LINES = (
    "print(g[{a}])",
    "print(len(g[{a}]))",
    "print({b} in g[{a}])",
    "print(sorted(set(g[{a}]) | set(g[{b}])))",
    "print(sum(len(near) for near in g.values()))",
)
"""Last lines of programs about a dictionary of neighbours."""


class GraphCode(SyntheticText, ConversationSource):
    """Programs that build a dictionary of neighbours and print something of it.

    Args:
        num: Number of programs.
        seed: Seed of the programs.
        nodes: Least and greatest number of nodes.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    kind = "graph_code"
    grammar = 1

    def __init__(
        self, num: int, seed: int = 0, nodes: tuple[int, int] = (3, 8), weight: float = 1.0
    ):
        super().__init__(num, seed, weight)
        self.nodes = nodes

    @override
    def fingerprint(self) -> str:
        return json.dumps([super().fingerprint(), list(self.nodes)])

    @override
    def text(self, index: int) -> str:
        return "\n".join(self.program(index))

    def program(self, index: int) -> tuple[str, str]:
        """A program with its question, and what it prints."""
        rng = Random(f"code/{self.seed}/{index}")
        num = rng.randint(*self.nodes)
        pairs = STRUCTURES["small"].pairs(list(range(num)), rng.uniform(0.2, 0.6), rng)
        near: dict[int, list[int]] = {node: [] for node in range(num)}
        for a, b in pairs:
            near[a].append(b)
            near[b].append(a)
        line = rng.randrange(len(LINES))
        a, b = rng.sample(range(num), 2)
        printed = (
            near[a],
            len(near[a]),
            b in near[a],
            sorted({*near[a], *near[b]}),
            sum(len(one) for one in near.values()),
        )[line]
        asked = f"{QUESTION}\ng = {near}\n{LINES[line].format(a=a, b=b)}"
        return asked, str(printed)

    @override
    def documents(self) -> Iterator[Document]:
        for index in range(self.num):
            asked, printed = self.program(index)
            messages = [
                {"role": "user", "content": asked},
                {"role": ANSWERS, "content": printed},
            ]
            origin = f"{self.name}:{index + 1}"
            yield Conversation(f"{asked}\n{printed}", origin, messages=messages)
