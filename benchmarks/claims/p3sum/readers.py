"""Classifiers of stances that err: trained on texts that use a part of the words."""

from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

from benchmarks.bench.from_config import configured
from benchmarks.claims.training import NEVER
from callbacks.scores import write_table
from modules.classifier.labelled import read_labelled
from modules.metrics.misread import Labelled

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
