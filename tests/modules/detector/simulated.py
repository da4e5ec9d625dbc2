"""Scores of detectors that never were, on texts that never were written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modules.detector.scores import Scores

GENERATORS = ("small", "middle", "large")


def texts(num_pairs: int, generators=GENERATORS) -> Scores:
    """Every human text and its continuation by each generator; each pair has a human row."""
    rows = [
        (f"h{pair:04d}", name, "news" if pair % 2 else "tales", label)
        for pair in range(num_pairs)
        for name in generators
        for label in (0, 1)
    ]
    pair, name, domain, label = (np.array(column) for column in zip(*rows, strict=True))
    return Scores(np.arange(len(rows)), pair, name, domain, label, np.full(len(rows), 0.5))


def detector(on: Scores, strength: float, seed: int = 0, knows: str | None = None) -> Scores:
    """Probabilities that tell classes apart; better on one generator, alike within a human text."""
    dice = np.random.default_rng(seed)
    _, place = np.unique(on.pair_id, return_inverse=True)
    shared = np.random.default_rng(99).normal(0, 1, place.max() + 1)[place]
    better = np.where(on.generator == knows, 2 * strength, strength)
    logit = better * (2 * on.label - 1) + shared + dice.normal(0, 1, len(on))
    return on.saying(1 / (1 + np.exp(-logit)))


def write(scores: Scores, path, **attacked: Scores) -> None:
    """The file that a test leaves behind."""
    parts = {"none": scores, **attacked}
    table: dict[str, list] = {}
    for attack, one in parts.items():
        columns = {
            "id": one.id.tolist(),
            "pair_id": one.pair_id.tolist(),
            "generator": np.where(one.label == 1, one.generator, "human").tolist(),
            "paired_generator": one.generator.tolist(),
            "domain": one.domain.tolist(),
            "label": one.label.tolist(),
            "p_machine": one.p_machine.tolist(),
            "attack": [attack] * len(one),
        }
        for name, values in columns.items():
            table.setdefault(name, []).extend(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
