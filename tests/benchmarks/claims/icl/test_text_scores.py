from math import log

import pytest

from benchmarks.claims.icl.text_scores import by_importance, by_words

TEXTS = ["fork amber dax so", "anchor cobalt wug and", "fork cobalt dax and"]


def test_words_of_the_task_raise_a_text():
    scores = by_words(TEXTS, ["fork amber dax", "fork ivory"])
    assert scores[0] > scores[2] > scores[1]


def test_importance_is_the_log_ratio_of_shares_of_words_and_pairs():
    """Without collisions: sums over the words and pairs of a text, each bucket one count more."""
    task, num = ["fork amber"], 1_000_003
    grams = [
        [*t.split(), *(f"{a} {b}" for a, b in zip(t.split(), t.split()[1:], strict=False))]
        for t in TEXTS
    ]
    pool = [gram for some in grams for gram in some]
    target = ["fork", "amber", "fork amber"]

    def log_p(gram, known):
        return log((known.count(gram) + 1) / (len(known) + num))

    want = [sum(log_p(gram, target) - log_p(gram, pool) for gram in some) for some in grams]
    assert by_importance(TEXTS, task, num) == pytest.approx(want, rel=1e-9)
