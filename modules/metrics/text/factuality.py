"""Whether a summary is true to its document, by any scorer that is given."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch

from modules.metrics.text.encoder_inputs import (
    batches,
    best_device,
    longest_input,
    padded,
    tokenised,
)
from modules.weights.origin import read, read_tokenizer


@runtime_checkable
class FactualityScorer(Protocol):
    """What judges summaries."""

    def score(self, documents: Sequence[str], summaries: Sequence[str]) -> list[float]:
        """How true each summary is to its document, higher is truer."""
        ...


class Factuality(NamedTuple):
    """Scores of summaries.

    Attributes:
        scores: One each; 0 where the summary is empty.
        num_empty: How many are empty.
    """

    scores: list[float]
    num_empty: int

    @property
    def mean(self) -> float:
        """Mean over all summaries, the empty ones included."""
        return sum(self.scores) / len(self.scores)


def factuality(
    scorer: FactualityScorer, documents: Sequence[str], summaries: Sequence[str]
) -> Factuality:
    """Score summaries; an empty one is a failure and scores 0, it is not left out.

    Args:
        scorer: Sees the summaries that are not blank.
        documents: What is summed up.
        summaries: One of each document.

    Raises:
        ValueError: There is no summary, not one for each document, or the scorer gives another
            number of scores.
    """
    if len(documents) != len(summaries) or not summaries:
        raise ValueError(f"{len(summaries)} summaries for {len(documents)} documents.")
    kept = [i for i, summary in enumerate(summaries) if summary.strip()]
    scores = [0.0] * len(summaries)
    found = scorer.score([documents[i] for i in kept], [summaries[i] for i in kept]) if kept else []
    if len(found) != len(kept):
        raise ValueError(f"the scorer gave {len(found)} scores for {len(kept)} summaries.")
    for i, score in zip(kept, found, strict=True):
        scores[i] = float(score)
    return Factuality(scores, len(summaries) - len(kept))


class Classifier:
    """A classifier of pairs, such as FactKB (Feng et al., 2023): the probability of one class.

    Nothing is loaded before the first score.

    Args:
        path: Folder or hub name of a sequence classifier.
        label: The class that means true; FactKB's is 1.
        order: Which text comes first in a pair; FactKB takes the summary first, classifiers of
            entailment the document.
        tokenizer: Folder or hub name of the tokenizer; None takes the classifier's.
        max_length: Tokens of a pair; None takes what the classifier holds. Beyond, the end of the
            longer text is cut.
        batch_size: Pairs that are classified together.
        device: Where the classifier runs; None takes CUDA if there is one.
        revision: Branch, tag or commit of the classifier on the hub.

    Attributes:
        num_cut: Pairs that were cut, over all scores so far.
    """

    def __init__(
        self,
        path: str,
        label: int = 1,
        order: Literal["summary_first", "document_first"] = "summary_first",
        tokenizer: str | None = None,
        max_length: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
        revision: str = "main",
    ):
        self.path = path
        self.label = label
        self.order = order
        self.tokenizer_source = tokenizer
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = best_device(device)
        self.revision = revision
        self.num_cut = 0

    @cached_property
    def tokenizer(self) -> Any:
        """The classifier's tokenizer."""
        if self.tokenizer_source is not None:
            return read_tokenizer(self.tokenizer_source)
        return read_tokenizer(self.path, revision=self.revision)

    @cached_property
    def model(self) -> Any:
        """The classifier.

        Raises:
            ValueError: It has no such class, or only one.
        """
        from transformers import AutoModelForSequenceClassification

        found: Any = AutoModelForSequenceClassification
        model = read(found, self.path, "classifier", revision=self.revision)
        num = model.config.num_labels
        if num < 2 or not 0 <= self.label < num:
            raise ValueError(f"{self.path} has {num} classes: label {self.label} says nothing.")
        return model.to(self.device).eval()

    def load(self) -> None:
        """Load the classifier and its tokenizer."""
        self.model, self.tokenizer  # noqa: B018 - loaded here

    @torch.no_grad()
    def score(self, documents: Sequence[str], summaries: Sequence[str]) -> list[float]:
        """Probability that each summary is true to its document; see `factuality` for empty ones.

        Raises:
            ValueError: There is not one summary for each document.
        """
        if len(documents) != len(summaries):
            raise ValueError(f"{len(summaries)} summaries for {len(documents)} documents.")
        limit = longest_input(self.tokenizer, self.model)
        limit = limit if self.max_length is None else min(limit, self.max_length)
        pair = summaries, documents
        first, second = pair if self.order == "summary_first" else pair[::-1]
        rows, num_cut = tokenised(self.tokenizer, first, limit, second)
        self.num_cut += num_cut
        scores = [0.0] * len(rows)
        for batch in batches([len(row["input_ids"]) for row in rows], self.batch_size):
            inputs, _ = padded(self.tokenizer, [rows[i] for i in batch], self.device)
            probability = self.model(**inputs).logits.float().softmax(-1)[:, self.label]
            for i, one in zip(batch, probability.tolist(), strict=True):
                scores[i] = one
        return scores
