"""Claim 8: the figure of a judge that errs, corrected, is the true one.

Of summaries that were written with the news, so that the share that keeps its article's stance is
known and nothing was made to please a reader; `hard` asks the same of steered ones.
"""

from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.claims.p3sum.rates import Claims
from benchmarks.claims.p3sum.readers import STANCES, Readers
from datamodules.synthetic.newsroom.news import Style, news
from modules.metrics.misread import Judged, Met, Verdict, verdict

KEPT = (0.5, 0.8, 0.95)
"""Probabilities that a summary keeps the stance of its article."""
NUM, NUM_SAMPLES = 256, 20
"""Summaries of a sample, and samples."""
SEED = 100


def judge(claims: Claims) -> None:
    """Intervals that hold the true share, corrected and as read; a minute of a core."""
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
    """The share of each sample, and the judge's verdict."""
    num = 2 if claims.bench.quick else NUM_SAMPLES
    made = [news(SEED, n, "held_out", Style(kept=kept)) for n in range(num * NUM)]
    read = readers.read([one.summary for one in made])
    wanted_N = np.asarray([STANCES.index(one.stance) for one in made])
    true_N = wanted_N == [STANCES.index(one.summary_stance) for one in made]
    found = []
    for part in np.split(np.arange(num * NUM), num):
        own = wanted_N[part], read["judge"][part], part
        one = verdict(Judged(*own, true_N[part]), readers.labelled["judge"], len(STANCES))
        found.append((float(true_N[part].mean()), one))
    return found


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
