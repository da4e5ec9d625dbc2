"""What a classifier read in the labelled texts of its test: the table `scores.parquet`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modules.classifier.evaluate import PLAIN
from modules.metrics.misread import Labelled


def read_labelled(path: Path, classes: list[str], domain: str | None = None) -> Labelled:
    """Labels and readings of the unattacked texts of a test.

    Texts of one pair, such as an article and its summary, are drawn together.

    Args:
        path: The table that `test` wrote (`callbacks.scores.Scores`).
        classes: Names of the classes, by index.
        domain: Domain of the texts that count; all where None.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: It is of other classes, has no text of the domain, or none of a class.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"no scores {path}; run `test` of the classifier first")
    held: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    read = readings(path, held, classes)
    chosen = [
        n
        for n, (attack, whose) in enumerate(zip(held["attack"], held["domain"], strict=True))
        if attack == PLAIN and domain in (None, whose)
    ]
    label_N = np.asarray(held["label"], np.int64)[chosen]
    if absent := [name for k, name in enumerate(classes) if k not in label_N]:
        where = "" if domain is None else f" of domain {domain!r}"
        raise ValueError(f"{path} has no text{where} of class {', '.join(absent)}")
    pairs = zip(held["pair_id"], held["id"], strict=True)
    groups = [str(pair) if pair else f"text {name}" for pair, name in pairs]
    return Labelled(label_N, read[chosen], np.asarray(groups)[chosen])


def readings(path: Path, held: dict[str, list[Any]], classes: list[str]) -> NDArray[np.int64]:
    """Index of the likelier class of each text, [N]; of two, by the log-odds before calibration."""
    named = classes[1:] if len(classes) == 2 else classes
    given = [name.removeprefix("p_") for name in held if name.startswith("p_")]
    if given != named:
        whose = f"probabilities of {', '.join(given)}"
        raise ValueError(f"{path} has {whose}, not of {', '.join(named)}")
    if len(classes) == 2:
        return (np.asarray(held["score"]) > 0).astype(np.int64)
    return np.stack([held[f"p_{name}"] for name in named], axis=1).argmax(1)
