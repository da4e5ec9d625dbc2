"""Made-up texts of people and machines, and files of them."""

import csv
import json
from pathlib import Path
from random import Random

from datamodules.labelled_text import LabelledRow, LabelledText

GENERATORS = ("small", "large")
DOMAINS = ("news", "tales")
WORDS = "the a cat dog moon house rain fell sat ran saw old new over under and so".split()
SPLITS = ("train", "train", "train", "val", "test")


def sentence(rng, num, words=WORDS):
    return " ".join(rng.choice(words) for _ in range(num)) + "."


def made_up(num=20, generators=GENERATORS, domains=DOMAINS, seed=0):
    """Rows of `num` human texts a domain, each cut once for every generator that continues it."""
    rng, rows = Random(seed), []
    for domain in domains:
        for number in range(num):
            human = sentence(rng, 40) + " " + sentence(rng, 20)
            split = SPLITS[number % len(SPLITS)]
            for generator in generators:
                end = rng.randrange(45, 60)
                pair = {"domain": domain, "pair_id": f"{domain}-{number}", "split": split}
                pair["paired_generator"] = generator
                cut = " ".join(human.split()[:end])
                telling = [*WORDS, *[generator] * len(WORDS)]
                own = " ".join(human.split()[:10]) + " " + sentence(rng, end - 10, telling)
                rows.append({"text": cut, "label": 1, "generator": "human", **pair})
                rows.append({"text": own, "label": 0, "generator": generator, **pair})
    return rows


def write(rows, path: Path, delimiter=",") -> Path:
    """A file of rows, by its suffix."""
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


def source(path, **more) -> LabelledText:
    """A source of such a file."""
    return LabelledText(str(path), **{"labels": {"1": "human", "0": "machine"}, **more})


def as_rows(rows) -> list[LabelledRow]:
    """The same rows as a source reads them."""
    names = {"1": "human", "0": "machine"}
    return [
        LabelledRow(**{**row, "label": names[str(row["label"])]}, origin=f"made_up:{i}")
        for i, row in enumerate(rows, start=1)
    ]
