"""Classifiers of stances that err: trained on texts that use a part of the words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench.from_config import configured
from benchmarks.claims.p3sum.rates import Claims
from benchmarks.claims.training import NEVER
from callbacks.scores import write_table
from modules.classifier.labelled import read_labelled
from modules.metrics.misread import Labelled, accuracy_of
from modules.summariser.evaluate import StanceKept

CONFIG = Path(__file__).parents[3] / "configs" / "classifier" / "newsroom.yaml"
TEXTS = "datamodules.synthetic.newsroom.source.NewsroomTexts"
STANCES = ["left", "center", "right"]
SCORES = "scores.parquet"


@dataclass(frozen=True)
class Lexicon:
    """What a classifier has seen.

    Attributes:
        start, end: Span of the verbs, parties and values of each stance in its training texts.
        seed: Of its texts and weights.
    """

    start: float
    end: float
    seed: int


LEXICONS = {"guide": Lexicon(0.0, 0.55, 1), "judge": Lexicon(0.45, 1.0, 11)}


@dataclass(frozen=True)
class Readers:
    """Classifiers that err, and what they read in labelled texts.

    Attributes:
        folder: Holds `guide` and `judge`.
        labelled: What each reads, by name.
        opened: Those that are loaded.
    """

    folder: Path
    labelled: Mapping[str, Labelled]
    opened: dict[str, StanceKept] = field(default_factory=dict)

    @classmethod
    def trained(
        cls, claims: Claims, folder: Path, names: Sequence[str] = ("guide", "judge")
    ) -> "Readers":
        """Guide and judge, trained on texts of different words."""
        labelled = dict[str, Labelled]()
        for name in names:
            lexicon = LEXICONS[name]
            labelled[name] = train_reader(lexicon, folder / name, claims.scale.num_steps)
            found = float(accuracy_of(labelled[name].counts(len(STANCES), 1))[0])
            claims.bench.details.setdefault("accuracy", {})[name] = found
            claims.bench.say(f"{name}: accuracy {found:.3f} on held-out summaries")
        return cls(folder, labelled)

    def source(self, name: str) -> str:
        """Folder of one."""
        return str(self.folder / name)

    def read(self, texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Index of the stance that each reads in texts."""
        found = {name: self.open(name).read(texts) for name in self.labelled}
        return {name: np.asarray(read) for name, read in found.items()}

    def open(self, name: str) -> StanceKept:
        """One of them, loaded once."""
        self.opened[name] = self.opened.get(name) or StanceKept(self.source(name))
        return self.opened[name]


def train_reader(lexicon: Lexicon, folder: Path, num_steps: int | None) -> Labelled:
    """Train a classifier, and write it with what it reads in held-out texts of all words.

    Args:
        lexicon: What it sees.
        folder: Of the Hugging Face classifier and the table of its test.
        num_steps: Steps; None takes the config's own.

    Returns:
        What it reads in held-out summaries.
    """
    steps = [] if num_steps is None else [f"--trainer.max_steps={num_steps}"]
    quiet = ["logger=false", "callbacks=[]", "enable_checkpointing=false"]
    built = configured(
        [CONFIG],
        *steps,
        *[f"--trainer.{one}" for one in (*quiet, "enable_progress_bar=false")],
        f"--trainer.val_check_interval={NEVER}",
        f"--data.init_args.sources={dumps(sources(lexicon))}",
        f"--seed_everything={lexicon.seed}",
    )
    built.trainer.fit(built.model, built.datamodule)
    model: Any = built.model
    model.eval()
    built.trainer.test(model, built.datamodule, verbose=False)
    model.export(folder)
    write_table(model.scores(), folder / SCORES)
    return read_labelled(folder / SCORES, STANCES, "summaries")


def sources(lexicon: Lexicon) -> list[dict[str, Any]]:
    """Texts of its words for training, held-out texts of all words for its test."""
    span = [lexicon.start, lexicon.end]
    own = {"num": 5000, "split": "train", "seed": lexicon.seed, "lexicon": span}
    val = {"num": 100, "split": "val", "seed": 2, "lexicon": span}
    test = {"num": 1500, "split": "test", "seed": 3, "part": "held_out"}
    return [{"class_path": TEXTS, "init_args": one} for one in (own, val, test)]
