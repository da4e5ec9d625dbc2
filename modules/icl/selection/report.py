"""What stands beside a selection: what its scores follow, where its documents are from, repeats."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from modules.icl.selection.orca import Found
from modules.icl.selection.pool import CandidatePool

RUN = 3
"""Words of a run, of which two texts that are nearly the same share most."""
ALIKE = 0.8
"""Share of the runs of both texts that they have in common from which on they count as nearly the
same."""
NUM_SOURCES = 5
"""Sources that a line names, at most."""


def report(found: Found, pool: CandidatePool, number: int) -> Iterator[str]:
    """What an iteration selected, in lines."""
    picked = found.picked[number - 1]
    cosine = found.columns[f"cosine_{number}"]
    new = len(found.union) - len({one for some in found.picked[:-1] for one in some})
    best, last = cosine[picked[0]], cosine[picked[-1]]
    span = f"cosine {last:.3f} to {best:.3f}"
    yield f"iteration {number}: {len(picked):,} documents of {span}, {new:,} of them new"
    related = rank_correlations(found, number)
    of = ", ".join(f"{name} {value:.2f}" for name, value in related.items())
    yield f"  its cosine's rank correlation with {of}"
    repeats = near_duplicates([pool.text(one) for one in picked])
    yield f"  nearly the same as a document above it: {repeats / len(picked):.1%}"
    if len(set(pool.sources)) > 1:
        yield f"  by source: {by_source(picked, pool.sources)}"


def rank_correlations(found: Found, number: int) -> dict[str, float]:
    """Spearman's correlation of an iteration's cosines with loss, norm and length, if they vary."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    cosine = found.columns[f"cosine_{number}"]
    columns = {name: found.columns[name] for name in ("loss", "norm", "targets")}
    varying = {name: values for name, values in columns.items() if len(set(values)) > 1}
    return {n: float(spearmanr(cosine, v, nan_policy="omit")[0]) for n, v in varying.items()}


def near_duplicates(texts: Sequence[str], alike: float = ALIKE) -> int:
    """How many texts are nearly the same as one before them.

    Of two texts, the runs of three words that both have are counted against those that either has
    (Broder, 1997: resemblance). Case, punctuation and white space do not count.

    Args:
        texts: In order.
        alike: Resemblance from which on two are nearly the same, in (0, 1].
    """
    import numpy as np
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    runs = [runs_of_words(text) for text in texts]
    column = {run: n for n, run in enumerate(sorted(set[str]().union(*runs)))}
    at = [column[run] for one in runs for run in one]
    ends = np.cumsum([0, *map(len, runs)])
    has = csr_array((np.ones(len(at), np.int64), at, ends), (len(texts), len(column)))
    shared = (has @ has.T).tocoo()
    size = np.diff(ends)
    either = size[shared.row] + size[shared.col] - shared.data
    is_repeat = (shared.col < shared.row) & (shared.data >= alike * either)
    return len(set(shared.row[is_repeat].tolist()))


def runs_of_words(text: str, length: int = RUN) -> set[str]:
    """Runs of words of a text; all its words where there are fewer, and the text if it has none."""
    words = re.findall(r"\w+", text.lower())
    if len(words) < length:
        return {" ".join(words) or text}
    return {" ".join(words[n : n + length]) for n in range(len(words) - length + 1)}


def by_source(picked: Sequence[int], sources: Sequence[str]) -> str:
    """Share of each source among selected documents, and in the pool; those of most picks."""
    chosen, there = Counter(sources[one] for one in picked), Counter(sources)
    named = [
        f"{name} {num / len(picked):.0%} (of the pool {there[name] / len(sources):.0%})"
        for name, num in chosen.most_common(NUM_SOURCES)
    ]
    others = len(there) - len(named)
    return ", ".join(named) + (f", {others:,} more" if others else "")
