"""Claim 9: real news, by a guide and a judge that know no outlet of one another.

A summary is a title; its stance is that of the article's outlet. The judge errs: its accuracy on
titles that people wrote stands beside every figure, and its figure is corrected for its errors.
Differences are of the same articles, and a goal is met where the worse end of the 95 % interval
meets it: otherwise chance would.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.bench.timing import MedianInterval
from benchmarks.claims.p3sum.rates import Claims, Drawn, Rates, ahead, lost
from benchmarks.claims.training import bare, fit
from modules.decoding.evaluate import Answered
from modules.summariser.batch import ArticleBatch
from modules.summariser.findings.judging import JudgedSummaries
from modules.summariser.steering.control import Control
from modules.summariser.system import Summariser

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "p3sum" / "news.yaml"
RUNS = ROOT / "runs" / "p3sum" / "news"
JUDGE = "assets/news_judge"
STRENGTHS = (100.0, 1000.0, 10_000.0)
MOST = 2
"""Largest n of best of n."""
LEAD = 10
"""Words of an article's beginning, about as many as a title has."""
SHOWN = ("rouge_1", "rouge_l", "guide_kept", "judge_kept", "judge_corrected", "gigaflops")
FLATTERY = "guide_minus_judge"
COMPARED = ("judge_kept", "guide_kept", "rouge_1", "rouge_l")
"""Whose difference to unguided titles gets an interval."""
FREE = "unguided"


class Titles:
    """Titles of the test articles, written in many ways.

    Args:
        claims: Receives what is found.
        system: The summariser.
        batches: The articles.
    """

    def __init__(self, claims: Claims, system: Summariser, batches: Sequence[ArticleBatch]):
        self.claims, self.system = claims, system
        self.drawn = [Drawn(system, one, one["stance_B"]) for one in batches]
        self.batches = batches
        self.found: dict[str, Rates] = {}
        """Of each way to write titles."""

    def draw(self, control: Control | None, seed: int) -> tuple[list[str], float]:
        """Titles under a control, None for none, and gigaflops a title."""
        found = [one.texts(control, seed) for one in self.drawn]
        texts = [text for some, _ in found for text in some]
        return texts, fmean(cost for _, cost in found)

    def note(self, name: str, texts: Sequence[str], cost: float) -> Rates:
        """Keep and show what measures, guide and judge say of titles, and how they gain."""
        answers = [
            Answered(question, text, [reference])
            for (question, reference), text in zip(self.questions(), texts, strict=True)
        ]
        system = self.system
        judging = JudgedSummaries(system.readers, system.guide_sources)
        judging.add(answers)
        scores = {k: v for one in system.measures for k, v in one.score(answers).items()}
        rates = Rates(scores, **judging.row(), gigaflops=cost)
        self.claims.frontier[name] = self.found[name] = rates
        self.claims.bench.details.setdefault("titles", {})[name] = list(texts[:8])
        gains = {key: asdict(one) for key, one in self.gains(name).items()}
        self.claims.bench.details.setdefault("points more than unguided", {})[name] = gains
        shown = ", ".join(f"{key} {rates[key]:.3f}" for key in SHOWN if key in rates)
        self.claims.bench.say(f"{name}: {shown}")
        return rates

    def gains(self, name: str) -> dict[str, MedianInterval]:
        """Points by which titles differ from unguided ones of the same articles; none before."""
        old, new = self.found.get(FREE), self.found[name]
        return {} if old is None else {key: new.points(old, key) for key in COMPARED}

    def questions(self) -> list[tuple[dict[str, Any], str]]:
        """What is known of each article, and its title."""
        return [
            ({"id": id, "article": article, "stance": stance, "asked": stance}, reference)
            for batch in self.batches
            for id, article, stance, reference in zip(
                batch["id_B"],
                batch["article_B"],
                self.system.names(batch["stance_B"]),
                batch["reference_B"],
                strict=True,
            )
        ]

    def wanted(self, texts: Sequence[str]) -> Tensor:
        """Log-probability of the wanted stance of each title, by the guide, [N]."""
        found, first = list[Tensor](), 0
        for one in self.drawn:
            num = len(one.batch["id_B"])
            found.append(one.wanted(texts[first : first + num]))
            first += num
        return torch.cat(found)

    def best_of(self, num: int) -> tuple[list[str], float]:
        """The unguided titles that the guide thinks most likely of the wanted stance."""
        drawn = [self.draw(None, 100 + seed) for seed in range(num)]
        best_N = torch.stack([self.wanted(texts) for texts, _ in drawn]).argmax(0).tolist()
        texts = [drawn[n][0][at] for at, n in enumerate(best_N)]
        return texts, sum(cost for _, cost in drawn)

    def of_articles(self, write: Callable[[str, str], str]) -> list[str]:
        """Titles that a function writes from article and reference."""
        return [write(known["article"], reference) for known, reference in self.questions()]


def news(claims: Claims) -> None:
    """Titles of real news, steered; 20 minutes of a core beside the fit, which is used if there."""
    bench = claims.bench
    titles = opened(claims)
    titles.note("written by people", titles.of_articles(lambda _, title: title), 0.0)
    lead = titles.of_articles(lambda article, _: " ".join(article.split()[:LEAD]))
    titles.note(f"first {LEAD} words", lead, 0.0)
    titles.note(FREE, *titles.draw(None, 0))
    shipped = titles.system.control
    for strength in STRENGTHS[:1] if bench.quick else STRENGTHS:
        control, name = replace(shipped, strength=strength), f"lambda {strength:g}"
        rates = titles.note(name, *titles.draw(control, 0))
        if strength == shipped.strength or bench.quick:
            steered, gains = rates, titles.gains(name)
    titles.note("by the judge itself, as the paper does", *by_judge(titles))
    titles.note(f"best of {MOST}", *titles.best_of(MOST))
    what = "real news: Suc by an independent judge, steered minus unguided"
    ahead(bench, 9, what, gains["judge_kept"])
    lost(bench, 9, "real news: ROUGE-1 lost by steering", gains["rouge_1"], 1.0)
    what = "real news: Suc by the guide minus by the judge, steered, points, upper end of 95 %"
    worst = 100 * steered[f"{FLATTERY}_high"]
    bench.row(9, f"{what} (others: the estimate)", worst, 5.0, peer=100 * steered[FLATTERY])


def by_judge(titles: Titles) -> tuple[list[str], float]:
    """Titles that the judge steers: what it then reads in them is no evidence."""
    system, own = titles.system, titles.system.control
    system.control = replace(own, guides=[replace(own.guides[0], source=JUDGE)])
    try:
        return Titles(titles.claims, system, titles.batches).draw(system.control, 0)
    finally:
        system.control = own


def opened(claims: Claims) -> Titles:
    """The last run of `fit` of news.yaml, or a training now, and the test articles."""
    few = ["--data.init_args.limit=6", "--model.init_args.generation.num_steps=4"]
    small = few if claims.bench.quick else []
    built = bare(CONFIG, 2 if claims.bench.quick else None, "--model.init_args.num_drawn=0", *small)
    known = sorted(RUNS.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    system: Summariser
    if known and not claims.bench.quick:
        claims.bench.say(f"taken from {known[-1].parents[1].name} of {RUNS.relative_to(ROOT)}")
        system = Summariser.load_from_checkpoint(known[-1], map_location="cpu")
        system.eval()
        for option in ("generation", "control", "measures"):  # of today's config
            setattr(system, option, getattr(built.model, option))
    else:
        fit(built)
        system = built.model
    built.datamodule.setup("test")
    return Titles(claims, system, list(built.datamodule.test_dataloader()))
