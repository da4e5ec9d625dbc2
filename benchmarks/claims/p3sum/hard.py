"""Claims 5, 7 and 8: longer articles, a guide that errs, and a judge that errs otherwise.

Guide and judge saw texts of other halves of the words. How summaries are steered is chosen on
validation articles of the first seed of training; all figures are of held-out articles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.claims.p3sum.rates import QUANTITIES, Claims, Drawn, Rates
from benchmarks.claims.p3sum.readers import STANCES, Readers
from benchmarks.claims.p3sum.stance import others
from datamodules.synthetic.newsroom.reader import stance_counts, stance_of
from modules.metrics.misread import Judged, flattery, verdict
from modules.summariser.steering.control import Control
from modules.summariser.steering.guide import Guide

SEEDS = (0, 1, 2)
"""Of training."""
AIMS = {"exact": 0.95, "both": 0.93}
TRUE_GUIDE = "assets/newsroom_guide"
NUM_TRIED = 48
"""Validation articles on which ways of steering are compared."""
NEWS = "datamodules.synthetic.newsroom.source.NewsroomArticles"
SIZES = {
    "train": (40_000, 0, "seen"),
    "validate": (256, 1, "held_out"),
    "test": (512, 2, "held_out"),
}
LONGEST, NUM_STEPS = 112, 1200
"""Tokens of an article, and steps of training."""
WAYS: dict[str, dict[str, Any]] = {
    "lambda 300": {"strength": 300.0},
    "lambda 300, late half": {"strength": 300.0, "window": (0.0, 0.5)},
    "lambda 3000, late half": {"strength": 3000.0, "window": (0.0, 0.5)},
    "margin 30": {"strength": 30.0, "objective": "margin"},
    "margin 30, late half": {"strength": 30.0, "objective": "margin", "window": (0.0, 0.5)},
    "margin 100, late half": {"strength": 100.0, "objective": "margin", "window": (0.0, 0.5)},
    "margin 300, late half": {"strength": 300.0, "objective": "margin", "window": (0.0, 0.5)},
}
"""Ways of steering that are tried."""


class Trial:
    """One summariser after the other, steered in the same ways.

    Args:
        claims: Receives what is found.
        readers: Guide and judge.
    """

    def __init__(self, claims: Claims, readers: Readers):
        self.claims, self.readers = claims, readers
        self.ways: dict[str, str] = {}

    def of_seed(self, seed: int) -> dict[str, Rates]:
        """Rates of a summariser, by what was asked of it and by which guide."""
        built = self.trained(seed)
        steered = self.by_guide(built, self.readers.source("guide"))
        self.ways = self.ways or self.chosen(built)
        batch = self.claims.articles(built)
        asked = {"own": batch["stance_B"], "other": others(batch["stance_B"])}
        drawn = {name: Drawn(built.model, batch, asked_B) for name, asked_B in asked.items()}
        found = {"unguided": self.rates(seed, "unguided", drawn["own"], None)}
        for name, one in drawn.items():
            way = replace(steered, **WAYS[self.ways[name]])
            found[name] = self.rates(seed, f"{name} stance", one, way)
        perfect = self.by_guide(built, TRUE_GUIDE)
        way = replace(perfect, **WAYS[self.ways["other"]])
        turned = Drawn(built.model, batch, asked["other"])
        found["other, true"] = self.rates(seed, "other stance, guide without errors", turned, way)
        return found

    def trained(self, seed: int) -> Any:
        """A summariser of long articles."""
        num_steps = self.claims.scale.num_steps or NUM_STEPS
        data = [f"--data.init_args.{name}={dumps([one])}" for name, one in sources().items()]
        length = f"--data.init_args.article_length={LONGEST}"
        own = f"--trainer.max_steps={num_steps}", f"--seed_everything={seed}"
        built = self.claims.train(f"seed {seed}", *data, length, *own)
        del self.claims.trained[f"seed {seed}"]
        return built

    def by_guide(self, built: Any, source: str) -> Control:
        """Have a summariser steered by a guide."""
        built.model.control = replace(built.model.control, guides=[Guide(source)])
        control: Control = built.model.control
        return control

    def chosen(self, built: Any) -> dict[str, str]:
        """The way of steering with most summaries that are exact and of the stance, for each."""
        batch = self.claims.articles(built, "validate", NUM_TRIED)
        tried = {}
        for name, asked_B in (("own", batch["stance_B"]), ("other", others(batch["stance_B"]))):
            drawn = Drawn(built.model, batch, asked_B)
            some = list(WAYS)[: 2 if self.claims.bench.quick else None]
            controls = {way: replace(built.model.control, **WAYS[way]) for way in some}
            both = {way: drawn.rates(one, (0,))["both"] for way, one in controls.items()}
            self.claims.bench.say(f"{name} stance, exact and kept of each way: {both}")
            tried[name] = both
        self.claims.bench.details["tried"] = tried
        best = {name: max(both, key=both.__getitem__) for name, both in tried.items()}
        self.claims.bench.details["chosen"] = best
        return best

    def rates(self, seed: int, what: str, drawn: Drawn, control: Control | None) -> Rates:
        """Rates by the exact reader, and the judge's verdict beside them."""
        texts, cost = drawn.texts(control, seed)
        rates = drawn.read(texts, cost)
        verdicts = self.claims.bench.details.setdefault("verdicts", {})
        verdicts[f"seed {seed}, {what}"] = self.judged(drawn, texts)
        return self.claims.note(f"seed {seed}, {what}", rates)

    def judged(self, drawn: Drawn, texts: Sequence[str]) -> dict[str, Any]:
        """The judge's verdict on all summaries, and on those of one stance alone."""
        is_pure_N = np.asarray([len(stance_counts(text)) == 1 for text in texts])
        chosen = {"all": np.ones_like(is_pure_N), "of one stance": is_pure_N}
        return {name: self.verdict(drawn, texts, some_N) for name, some_N in chosen.items()}

    def verdict(self, drawn: Drawn, texts: Sequence[str], some_N: Any) -> dict[str, Any]:
        """What the judge reads in some summaries, corrected; the truth; the guide's flattery."""
        read, wanted_N = self.readers.read(texts), drawn.asked_B.numpy()
        names_N = np.asarray(drawn.batch["id_B"])
        is_met = {name: (one == wanted_N)[some_N] for name, one in read.items()}
        judged = Judged(wanted_N[some_N], read["judge"][some_N], names_N[some_N], is_met["guide"])
        found = verdict(judged, self.readers.labelled["judge"], len(STANCES))
        by_guide = flattery(is_met["guide"], is_met["judge"], names_N[some_N])
        names = drawn.system.names(drawn.asked_B)
        true_N = np.asarray([stance_of(t) == name for t, name in zip(texts, names, strict=True)])
        return asdict(found) | {"true": float(true_N[some_N].mean()), "flattery": asdict(by_guide)}


def sources() -> dict[str, Any]:
    """Long articles for training, validation and test."""
    return {
        stage: {
            "class_path": NEWS,
            "init_args": {"num": num, "seed": seed, "part": part, "is_long": True},
        }
        for stage, (num, seed, part) in SIZES.items()
    }


def hard(claims: Claims) -> None:
    """Claims 5, 7 and 8, over seeds of training; 30 minutes of a core."""
    with TemporaryDirectory() as folder:
        trial = Trial(claims, Readers.trained(claims, Path(folder)))
        runs = [trial.of_seed(seed) for seed in SEEDS[: 1 if claims.bench.quick else None]]
    steered(claims, runs)
    turned(claims, runs)
    judged(claims)


def steered(claims: Claims, runs: Sequence[Mapping[str, Rates]]) -> None:
    """Claim 5: the article's stance, by a guide that errs."""
    own, free = mean_of(runs, "own"), mean_of(runs, "unguided")
    for name, aim in AIMS.items():
        spread = [run["own"][name] for run in runs]
        claims.bench.say(f"{name}, of each seed: {spread}")
        what = f"{QUANTITIES[name]}, long articles, guide that errs"
        claims.bench.row(5, what, own[name], aim, peer=free[name], at_least=True)
    lost = "facts lost by steering, long articles, guide that errs"
    claims.bench.row(5, lost, free["facts"] - own["facts"], 0.01)


def turned(claims: Claims, runs: Sequence[Mapping[str, Rates]]) -> None:
    """Claim 7: a stance that the article does not have."""
    for name, guide in (("other", "guide that errs"), ("other, true", "guide without errors")):
        found = mean_of(runs, name)
        what = f"stance that the article does not have, {guide}"
        claims.bench.row(7, what, found["kept"], 0.85, at_least=True)
        claims.bench.row(7, f"exact and that stance, {guide}", found["both"], 0.85, at_least=True)


def judged(claims: Claims) -> None:
    """Claim 8: the judge's figure, corrected, is the exact reader's."""
    found = list(claims.bench.details["verdicts"].values())
    for name in ("all", "of one stance"):
        plain, corrected = (
            fmean(holds(one[name][which], one[name]["true"]) for one in found)
            for which in ("read", "met")
        )
        what = f"corrected intervals that hold the true Suc, steered summaries, {name}"
        claims.bench.row(8, f"{what} (others: as read)", corrected, 0.9, peer=plain, at_least=True)


def holds(met: dict[str, Any] | None, true: float) -> bool:
    """Whether the interval of a share holds the true one."""
    return met is not None and bool(met["share"]["low"] <= true <= met["share"]["high"])


def mean_of(runs: Sequence[Mapping[str, Rates]], name: str) -> dict[str, float]:
    """Means over seeds of training."""
    return {key: fmean(run[name][key] for run in runs) for key in runs[0][name]}
