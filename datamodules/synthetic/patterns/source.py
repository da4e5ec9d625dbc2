"""Documents as a source of text that knows the kind of each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from math import fsum
from random import Random
from typing import get_args

from typing_extensions import override

from datamodules.stream.checks import check_choice, check_shares
from datamodules.synthetic.patterns.documents import GRAMMAR, document
from datamodules.synthetic.patterns.units import ROUND, Kind
from datamodules.synthetic.patterns.words import Part
from datamodules.text.source import SyntheticText


@dataclass(frozen=True)
class KindShares:
    """Shares of the documents; what is left are ordinary ones. `documents` describes the kinds.

    Attributes:
        mapping: Of those whose labels follow from classes, anew in each.
        recall: Of those whose labels follow from words, anew in each.
        copy: Of those that repeat a pattern.
        shuffled: Of decoys with the words of mappings, but no structure.
        easy: Of decoys that are known by heart.
        hard: Of decoys with words in any order.

    Raises:
        ValueError: A share is outside [0, 1], or they sum to more than 1.
    """

    mapping: float = 0.3
    recall: float = 0.0
    copy: float = 0.0
    shuffled: float = 0.0
    easy: float = 0.0
    hard: float = 0.0

    def __post_init__(self) -> None:
        """Check the shares."""
        shares = asdict(self)
        check_shares(shares, shares)
        if (total := fsum(shares.values())) > 1 + 1e-9:
            raise ValueError(f"the shares of all kinds must sum to at most 1, got {total:g}.")

    def counts(self, num: int) -> dict[Kind, int]:
        """Of so many documents, how many are of each kind: each share rounded."""
        rounded = {name: round(share * num) for name, share in asdict(self).items()}
        while (excess := sum(rounded.values()) - num) > 0:  # several were rounded up
            largest = max(rounded, key=rounded.__getitem__)
            rounded[largest] -= excess
        kinds: tuple[Kind, ...] = get_args(Kind)
        return {one: rounded.get(one, num - sum(rounded.values())) for one in kinds}


class PatternText(SyntheticText):
    """Documents of which known ones can only be predicted from their own beginning.

    The kinds are mixed by chance, in exact shares. A tokenizer of words gives every document the
    same number of tokens.

    Args:
        num: Number of documents.
        seed: Seed of the documents; use different seeds for training and test.
        shares: Share of each kind of document; what is left are ordinary ones.
        topics: Topics of ordinary documents: `seen`, `held_out` or `all`.
        structured_topics: Topics of documents of all other kinds, likewise.
        num_units: Units of four words in a document, a multiple of four.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.

    Raises:
        ValueError: `num` is below 1, topics are unknown, or `num_units` is below 8 or no multiple
            of 4.
    """

    kind = "patterns"
    grammar = GRAMMAR

    def __init__(
        self,
        num: int,
        seed: int = 0,
        shares: KindShares = KindShares(),
        topics: Part = "seen",
        structured_topics: Part = "seen",
        num_units: int = 8,
        weight: float = 1.0,
    ):
        super().__init__(num, seed, weight)
        check_choice("topics", topics, get_args(Part))
        check_choice("structured_topics", structured_topics, get_args(Part))
        if num_units < 2 * ROUND or num_units % ROUND:
            raise ValueError(f"num_units must be 8 or more, a multiple of 4, got {num_units}.")
        self.shares = shares
        self.topics: Part = topics
        self.structured_topics: Part = structured_topics
        self.num_units = num_units

    @override
    def fingerprint(self) -> str:
        topics = [self.topics, self.structured_topics]
        return json.dumps([super().fingerprint(), asdict(self.shares), *topics, self.num_units])

    @override
    def text(self, index: int) -> str:
        kind = self._kinds[index]
        topics = self.topics if kind == "ordinary" else self.structured_topics
        return document(self.seed, index, kind, topics, self.num_units)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kind of each document, by the origin that it is known by."""
        return {f"{self.name}:{index}": kind for index, kind in enumerate(self._kinds, 1)}

    @cached_property
    def _kinds(self) -> list[Kind]:
        kinds = [kind for kind, num in self.shares.counts(self.num).items() for _ in range(num)]
        Random(f"kinds/{self.seed}").shuffle(kinds)
        return kinds
