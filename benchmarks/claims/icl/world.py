"""A model that begins to learn in context, a pool with a planted truth, and what training does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.bench.from_config import configured
from datamodules.in_context.datamodule import InContextData
from datamodules.in_context.pool import DocumentPool
from datamodules.questions.source import Question
from datamodules.synthetic.patterns.questions import PatternFacts, PatternQuestions
from datamodules.synthetic.patterns.source import KindShares, PatternText
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.icl.in_context import InContextBatch, scored, summarise
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.orca import Orca
from modules.icl.selection.scoring import token_losses
from modules.icl.selection.training import restore, trained

CONFIG = Path(__file__).parents[3] / "configs" / "icl" / "theta_0.yaml"
WORDS = "assets/patterns_words"
ROW_LENGTH = 34
LEARNING_RATE = 2e-4
PER_STEP = 4
"""Learning rate of Adam and documents a step, in the continued pretraining of `icl/tiny`."""


def theta_0(seed: int, num_steps: int) -> LanguageModel:
    """A model that `icl/theta_0` trains from another seed and on other documents, stopped alike.

    Args:
        seed: Of the first weights and of all documents.
        num_steps: Steps after which it stops in any case.
    """
    text = "datamodules.synthetic.patterns.source.PatternText"
    common = {"num": 60000, "seed": 10 * seed, "topics": "common", "structured_topics": "common"}
    rare = {"num": 2000, "seed": 10 * seed + 1, "topics": "rare", "shares": {"mapping": 0.0}}
    sources = [
        {"class_path": text, "init_args": common | {"shares": {"mapping": 0.3}, "weight": 0.96}},
        {"class_path": text, "init_args": rare | {"weight": 0.04}},
    ]
    stop = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {
            "monitor": "validate/in_context/accuracy",
            "mode": "max",
            "stopping_threshold": 0.5,
            "patience": 1000,
        },
    }
    built = configured(
        [CONFIG],
        f"--seed_everything={seed}",
        f"--data.init_args.train={json.dumps(sources)}",
        f"--trainer.max_steps={num_steps}",
        f"--trainer.callbacks={json.dumps([stop])}",
        "--trainer.logger=false",
        "--trainer.enable_checkpointing=false",
        "--trainer.enable_progress_bar=false",
    )
    built.trainer.fit(built.model, built.datamodule)
    model: LanguageModel = built.model.language_model.eval()
    return model


@dataclass(frozen=True)
class PlantedPool:
    """Documents whose kinds are known.

    Attributes:
        documents: The documents.
        kinds: The kind of each.
    """

    documents: DocumentPool
    kinds: Sequence[str]

    @staticmethod
    def of(num: int, seed: int, **shares: float) -> "PlantedPool":
        """A pool with so many documents of each kind."""
        source = PatternText(num, seed, KindShares(**shares))
        data = InContextData(pool=[source], tokenizer=WORDS, train=[source], row_length=ROW_LENGTH)
        return PlantedPool(data.pool, [source.kinds[one] for one in data.pool.ids])

    @property
    def planted(self) -> list[int]:
        """Indices of the documents with a structure."""
        return [n for n, kind in enumerate(self.kinds) if kind == "mapping"]

    def precision(self, chosen: Sequence[int]) -> float:
        """Share of some documents that are planted."""
        return sum(self.kinds[n] == "mapping" for n in chosen) / len(chosen)


class Measures:
    """What is asked of a model: tasks in context, facts without one, and ordinary documents.

    Args:
        tokenizer: Of the model.
        num: Questions of each task, and ordinary documents.
    """

    def __init__(self, tokenizer: Any, num: int):
        self.tokenizer = tokenizer
        self.tasks: dict[str, list[Question]] = {
            "in_context": [*PatternQuestions(num, seed=900).questions()],
            "other_topics": [*PatternQuestions(num, seed=901, topics="seen").questions()],
            "facts": [*PatternFacts("rare").questions()],
        }
        self.ordinary = PlantedPool.of(num, 902, mapping=0.0).documents

    def of(self, model: LanguageModel) -> dict[str, float]:
        """Accuracy and label loss of each task, and the loss a token of ordinary documents."""
        found: dict[str, float] = {}
        for name, asked in self.tasks.items():
            result = summarise(scored(model, self.tokenizer, as_batch(asked)))
            found |= {name: result.accuracy, f"{name}_loss": result.loss}
        return found | {"ordinary_loss": self.loss(model, self.ordinary)}

    @torch.no_grad()
    def loss(self, model: LanguageModel, documents: DocumentPool) -> float:
        """Nats a token of documents."""
        nats, targets = 0.0, 0
        for start in range(0, len(documents.ids), 64):
            batch = documents.batch(documents.rows(range(len(documents.ids)))[start : start + 64])
            nats += float(token_losses(model, batch).sum())  # type: ignore[arg-type]
            targets += int((batch["label_BL"] != IGNORE).sum())  # type: ignore[attr-defined]
        return nats / targets


def selection(
    model: LanguageModel,
    tokenizer: Any,
    pool: DocumentPool,
    asked: Sequence[Question],
    options: SelectionOptions,
) -> tuple[list[int], dict[str, Any]]:
    """Indices of the selected documents, the best first, and scores of all."""
    documents: Any = pool
    with TemporaryDirectory() as folder:
        orca = Orca(model, tokenizer, documents, asked, options)
        found = [*orca.select(Path(folder))][-1]
    return found.union, found.columns


def as_batch(asked: Sequence[Question]) -> InContextBatch:
    """Questions as a batch."""
    return {
        "id": [one.id for one in asked],
        "question": [one.fields for one in asked],
        "choices": [one.choices for one in asked],
        "answer": [one.answer for one in asked],
    }


class Continued:
    """Continued pretraining, always from the same weights.

    Args:
        model: theta_0.
        measure: What is asked afterwards.
    """

    def __init__(
        self, model: LanguageModel, measure: Callable[[LanguageModel], Mapping[str, float]]
    ):
        self.model, self.measure = model, measure
        self.start = trained(model)

    def on(self, pool: DocumentPool, chosen: Sequence[int], order: int) -> Mapping[str, float]:
        """Train on each document once, and measure; the model has its first weights again.

        Args:
            pool: The documents.
            chosen: Which of them.
            order: Seed of their order.
        """
        shuffled = sorted(chosen)
        Random(order).shuffle(shuffled)
        adam = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        for start in range(0, len(shuffled), PER_STEP):
            adam.zero_grad()
            batch: Any = pool.batch([[one] for one in shuffled[start : start + PER_STEP]])
            targets = (batch["label_BL"] != IGNORE).sum()
            (token_losses(self.model, batch).sum() / targets).backward()
            adam.step()
        adam.zero_grad()
        found = self.measure(self.model)
        restore(self.model, self.start)
        return found
