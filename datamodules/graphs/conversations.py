"""Graph problems as conversations: for training on their answers."""

import json
from collections.abc import Iterator
from random import Random
from typing import Literal, get_args

from typing_extensions import override

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.instructions.chats import ANSWERS, Conversation
from datamodules.instructions.source import ConversationSource
from datamodules.records.document import Document
from datamodules.stream.checks import check_choice
from datamodules.text.source import SyntheticText

GRAMMAR = 1
Answers = Literal["right", "shuffled"]
"""Right answers; or those of other problems, which teach how an answer looks and nothing else."""


class GraphConversations(SyntheticText, ConversationSource):
    """Problems of a distribution with their answers, as one turn each of user and assistant.

    Args:
        num: Number of problems.
        of: The distribution.
        seed: Seed of the problems.
        split: Whose graphs they have.
        answers: `right` ones; or `shuffled`: those of other problems of the same seed.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1, or an option is unknown.
    """

    kind = "graphs"
    grammar = GRAMMAR

    def __init__(
        self,
        num: int,
        of: Distribution = Distribution(),  # noqa: B008 - frozen
        seed: int = 0,
        split: Split = "train",
        answers: Answers = "right",
        weight: float = 1.0,
    ):
        super().__init__(num, seed, weight)
        check_choice("answers", answers, get_args(Answers))
        self.of = of
        self.split: Split = split
        self.answers: Answers = answers

    @property
    @override
    def name(self) -> str:
        return f"{self.kind}:{':'.join(self.of)}:{self.split}:{self.num}:{self.seed}"

    @override
    def fingerprint(self) -> str:
        options = [self.of.options(), self.of.behaviour, self.split, self.answers]
        return json.dumps([super().fingerprint(), *options])

    @override
    def text(self, index: int) -> str:
        return self.of.prompt(self.of.problem(self.seed, self.split, index))

    def response(self, index: int) -> str:
        """The answer to problem `index`."""
        return self.of.response(self.of.problem(self.seed, self.split, index), self.seed, index)

    @override
    def documents(self) -> Iterator[Document]:
        answered = list(range(self.num))
        if self.answers == "shuffled":
            Random(f"answers/{self.seed}").shuffle(answered)
        for index, other in enumerate(answered):
            asked, said = self.text(index), self.response(other)
            messages = [
                {"role": "user", "content": asked},
                {"role": ANSWERS, "content": said},
            ]
            origin = f"{self.name}:{index + 1}"
            yield Conversation(f"{asked}\n{said}", origin, messages=messages)
