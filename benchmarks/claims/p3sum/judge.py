"""Claim 8: the figure of a judge that errs, corrected, is the true one.

Of summaries that were written with the news, so that the share that keeps its article's stance is
known and nothing was made to please a reader; `hard` asks the same of steered ones.
"""

from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.claims.p3sum.rates import Claims
from benchmarks.claims.p3sum.readers import STANCES, Readers
from datamodules.synthetic.newsroom.news import Style, news
from modules.metrics.misread import Judged, Labelled, Met, Verdict, verdict

KEPT = (0.5, 0.8, 0.95)
"""Probabilities that a summary keeps the stance of its article."""
NUM, NUM_LABELLED, NUM_SAMPLES = 256, 300, 80
"""Summaries of a sample, labelled ones beside them, and samples, which share none of them."""
SEED = 100


def judge(claims: Claims) -> None:
    """Intervals that hold the true share, corrected and as read; two minutes of a core."""
    with TemporaryDirectory() as folder:
        readers = Readers.trained(claims, Path(folder), ["judge"])
        found = {kept: samples(claims, readers, kept) for kept in KEPT}
    for kept, verdicts in found.items():
        right = fmean(holds(one.met, kept) for _, one in verdicts)
        plain = fmean(holds(one.read, kept) for _, one in verdicts)
        claims.bench.details[f"kept {kept}"] = means(verdicts)
        claims.bench.say(f"kept {kept}: {means(verdicts)}")
        what = f"corrected intervals that hold the true Suc, {kept:g} kept (others: as read)"
        claims.bench.row(8, what, right, 0.9, peer=plain, at_least=True)


def samples(claims: Claims, readers: Readers, kept: float) -> list[tuple[float, Verdict]]:
    """The share of each sample, and the judge's verdict by labelled summaries of its own."""
    num = 2 if claims.bench.quick else NUM_SAMPLES
    found = []
    for n in range(num):
        _, true_N, read_N = summaries(readers, 2 * n, NUM_LABELLED, 0.5)
        labelled = Labelled(true_N, read_N, np.arange(NUM_LABELLED))
        wanted_N, true_N, read_N = summaries(readers, 2 * n + 1, NUM, kept)
        is_met_N = wanted_N == true_N
        judged = Judged(wanted_N, read_N, np.arange(NUM), is_met_N)
        found.append((float(is_met_N.mean()), verdict(judged, labelled, len(STANCES))))
    return found


def summaries(readers: Readers, series: int, num: int, kept: float) -> list[NDArray[np.int64]]:
    """Stances of articles, those of their summaries, and what the judge reads in these."""
    made = [news(SEED + series, n, "held_out", Style(kept=kept)) for n in range(num)]
    names = [one.stance for one in made], [one.summary_stance for one in made]
    told = [np.asarray([STANCES.index(name) for name in some]) for some in names]
    return [*told, readers.read([one.summary for one in made])["judge"]]


def holds(met: Met | None, true: float) -> bool:
    """Whether the interval of a share holds the true one."""
    return met is not None and met.share.low <= true <= met.share.high


def means(verdicts: list[tuple[float, Verdict]]) -> dict[str, Any]:
    """The share of the samples, as it is, as read and corrected, and the interval's width."""
    known = [one.met.share for _, one in verdicts if one.met is not None]
    return {
        "true": fmean(true for true, _ in verdicts),
        "read": fmean(one.read.share.value for _, one in verdicts),
        "corrected": fmean(one.value for one in known) if known else None,
        "width": fmean(one.high - one.low for one in known) if known else None,
    }
