"""How summaries settle: texts, stances and changed tokens along the steps of generation.

Shape legend: N = summaries that are followed, S = positions, V = vocabulary.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.metrics.image.frechet_metric import over_ranks, rank
from modules.summariser.batch import ArticleBatch
from modules.summariser.evaluate import StanceReader
from modules.summariser.generate import Denoised, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.steering.control import Steering

PARTS = 10
"""Parts of a run of whose tokens the changed ones are counted."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """Which summaries are followed while they are drawn, and what is kept of them.

    `test` and `predict` write `traces.jsonl`, a line a summary, and pictures below `traces/`.
    What is drawn stays the same.

    Attributes:
        num_summaries: The first ones of a command, over all ranks.
        num_steps: Steps that are kept, evenly spaced from the first to the last.
        steps: Numbers of the steps that are kept instead, from 1 at the noisy end.
        per_picture: Summaries in one picture.
        num_texts: Texts beside each in the picture, evenly spaced over the kept steps.
    """

    num_summaries: int = 6
    num_steps: int = 21
    steps: list[int] | None = None
    per_picture: int = 3
    num_texts: int = 6

    def __post_init__(self) -> None:
        """Refuse what keeps nothing."""
        least = {"num_summaries": 1, "num_steps": 2, "per_picture": 1, "num_texts": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"trace: {name} must be at least {bound}")
        if self.steps is not None and not self.steps:
            raise ValueError("trace: steps must name at least one step")

    def kept(self, num: int) -> list[int]:
        """Numbers of the kept steps, from 0, rising.

        Args:
            num: Steps of generation, of all blocks.

        Raises:
            ValueError: There is no such step.
        """
        if self.steps is None:
            return spread(num, self.num_steps)
        wrong = [one for one in self.steps if not 1 <= one <= num]
        if wrong:
            raise ValueError(f"trace: there is no step {wrong[0]} of generation, but 1 to {num}")
        return sorted({one - 1 for one in self.steps})


def spread(num: int, chosen: int) -> list[int]:
    """Numbers below `num` that are evenly spaced, the first and the last among them."""
    if chosen >= num or chosen == 1:
        return list(range(num))[-num if chosen > 1 else -1 :]
    return [round(n * (num - 1) / (chosen - 1)) for n in range(chosen)]


@dataclass
class Following:
    """Follows the first summaries of a batch; watches `SummarySampler.draw`.

    Attributes:
        kept: Numbers of the kept steps.
        sees: What steering classifiers see in logits [N, S, V].
        num: N.
        token_TNS: Tokens after every step, on the CPU.
        steps: t of every step.
        seen: What each steering classifier sees of each summary, by number of a kept step.
    """

    kept: list[int]
    sees: Callable[[Tensor], list[Record]]
    num: int
    token_TNS: list[Tensor] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seen: dict[int, list[Record]] = field(default_factory=dict)

    def __call__(self, state: Denoised) -> None:
        """Keep the state after a step; of blocks, steering classifiers are not asked."""
        number = len(self.steps)
        is_whole = state.logits_BSV.shape[:2] == state.token_BS.shape
        if number in self.kept and is_whole:
            self.seen[number] = self.sees(state.logits_BSV[: self.num])
        self.token_TNS.append(state.token_BS[: self.num].cpu())
        self.steps.append(state.step)


@dataclass
class Tracer:
    """Follows the first summaries of a command.

    Attributes:
        trace: The options.
        tokenizer: Of the summaries.
        readers: What reads stances of texts.
        records: What is known, and its place in the order of the data.
        num_batches: Batches so far.
    """

    trace: Trace
    tokenizer: Any
    readers: Sequence[StanceReader]
    records: list[tuple[tuple[int, ...], Record]] = field(default_factory=list)
    num_batches: int = 0

    @property
    def marks(self) -> Marks:
        """Marks of the tokenizer."""
        return Marks.of(self.tokenizer)

    def follow(self, sampler: SummarySampler, batch: ArticleBatch) -> Following | None:
        """What watches a batch; None where enough is known."""
        num = min(len(batch["id_B"]), self.trace.num_summaries - len(self.records))
        self.num_batches += 1
        if num <= 0:
            return None
        article = batch["article_BC"][:num], batch["article_mask_BC"][:num]

        def sees(logits_NSV: Tensor) -> list[Record]:
            if sampler.steering is None:
                return [{} for _ in range(num)]
            return seen(sampler.steering, logits_NSV, *article)

        return Following(self.trace.kept(sampler.num_steps), sees, num)

    def add(self, found: Following, facts: Sequence[Record]) -> None:
        """Keep the records of a batch.

        Args:
            found: What was followed.
            facts: What else is known of each of its summaries.
        """
        marks = self.marks
        for n, known in enumerate(facts[: found.num]):
            rows = [token_NS[n].tolist() for token_NS in found.token_TNS]
            changed = changes(rows, (marks.end, marks.pad))
            key = self.num_batches, rank(), n
            self.records.append((key, known | {"changed": changed, "steps": self.steps(found, n)}))

    def steps(self, found: Following, n: int) -> list[Record]:
        """The kept steps of a summary: texts, and what is read in them."""
        marks, num = self.marks, len(found.steps)
        texts = [marks.text(self.tokenizer, found.token_TNS[t][n].tolist()) for t in found.kept]
        read = {one.name: one.named(texts) for one in self.readers}
        return [
            {
                "number": number + 1,
                "done": round((number + 1) / num, 6),
                "t": found.steps[number],
                "text": text,
                "seen": found.seen[number][n] if number in found.seen else {},
                "read": {name: rows[place] for name, rows in read.items()},
            }
            for place, (number, text) in enumerate(zip(found.kept, texts, strict=True))
        ]

    def gathered(self) -> list[Record]:
        """The first records over all ranks, in the order of the data; every rank calls."""
        found = sorted(over_ranks(self.records), key=lambda one: one[0])
        return [record for _, record in found[: self.trace.num_summaries]]


def seen(
    steering: Steering, logits_NSV: Tensor, article_NC: Tensor, mask_NC: Tensor
) -> list[Record]:
    """Probability of each class that steering classifiers see in mixtures of tokens, by name.

    One that sees what the network predicts of the article sees the article itself here.
    """
    share_NSV, found = logits_NSV.softmax(-1), [Record() for _ in logits_NSV]
    for name, guide in zip(guide_names(steering), steering.guides, strict=True):
        rows = guide.log_p(share_NSV, article_NC, mask_NC).exp().tolist()
        for record, row in zip(found, rows, strict=True):
            classes = guide.guide.classes or []
            record[name] = {c: round(p, 4) for c, p in zip(classes, row, strict=True)}
    return found


def guide_names(steering: Steering) -> list[str]:
    """Names of steering classifiers: their folders', numbered where two are alike."""
    names = [Path(one.guide.source).name for one in steering.guides]
    twice = Counter(names)
    return [f"{n}_{i}" if twice[n] > 1 else n for i, n in enumerate(names, start=1)]


def changes(rows: Sequence[Sequence[int]], ends: tuple[int, int]) -> list[Record]:
    """Share of tokens that differ between beginning and end of each tenth of a run.

    It is of the positions at which either of the two has a token or its end mark; the first tenth
    begins after the first step. A tenth without a step of its own is left out.

    Args:
        rows: Tokens of one summary after each step.
        ends: The marks after a text.
    """
    bounds = [max(0, ceil(len(rows) * n / PARTS) - 1) for n in range(PARTS + 1)]
    return [
        {
            "from": n / PARTS,
            "to": (n + 1) / PARTS,
            "share": round(differing(rows[a], rows[b], ends), 4),
        }
        for n, (a, b) in enumerate(pairwise(bounds))
        if a < b
    ]


def differing(one: Sequence[int], other: Sequence[int], ends: tuple[int, int]) -> float:
    """Share of differing tokens, up to the end of the longer text."""
    length = max(extent(one, ends), extent(other, ends))
    pairs = zip(one[:length], other[:length], strict=True)
    return sum(a != b for a, b in pairs) / max(1, length)


def extent(tokens: Sequence[int], ends: tuple[int, int]) -> int:
    """Tokens of a text, its end mark included."""
    over = (n + 1 for n, token in enumerate(tokens) if token in ends)
    return next(over, len(tokens))
