"""Which stance became which, against counts by hand, and what stays from request to request."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from datamodules.synthetic.newsroom.news import news
from datamodules.synthetic.newsroom.reader import NewsroomMeasures, stance_of
from modules.decoding.evaluate import Answered, Rouge
from modules.metrics.text.rouge import rouge
from modules.summariser.findings.requests import by_pair, by_request, of_one_article
from modules.summariser.findings.stance_changes import StanceMatrix, beside, matrices
from modules.summariser.findings.tested import SummaryRows

STANCES = ["left", "center", "right"]


def asked_for(stances, num=60):
    """Answers to requests for the summaries of articles: the gold summary of the next one."""
    made = [news(5, n) for n in range(num + 1)]
    return [
        Answered(
            {
                "id": f"id {n}",
                "article": one.text,
                "stance": one.stance,
                "asked": asked or one.stance,
            },
            "Rain." if n == 3 else after.summary,
            [] if n == 4 else [one.summary],
        )
        for n, (one, after) in enumerate(pairwise(made))
        for asked in stances
    ]


def rows_of(answers, *measures):
    """The rows of two batches."""
    found = SummaryRows(measures or [NewsroomMeasures()])
    for part in (answers[:7], answers[7:]):
        found.add(part, [one.score(part) for one in found.measures])
    return found.gathered()


def by_hand(pairs):
    """The matrix by counting pairs of names."""
    counts = Counter(pairs)
    return [[counts[a, b] for b in [*STANCES, "none"]] for a in STANCES]


def test_the_exact_reader_gives_the_matrices_of_known_stances():
    answers = asked_for([""])
    gold, generated = matrices(rows_of(answers), "newsroom", STANCES)
    assert (gold.texts, generated.texts) == ("gold", "generated")
    known = [one for one in answers if one.references]
    golds = [(one.question["stance"], stance_of(one.references[0])) for one in known]
    assert gold.counts.tolist() == by_hand(golds)
    texts = [(one.question["stance"], stance_of(one.text)) for one in answers]
    assert generated.counts.tolist() == by_hand(texts)
    assert generated.counts[:, 3].sum() == 1
    assert gold.counts.sum() == len(answers) - 1


def test_gold_summaries_count_once_and_what_was_asked_has_a_matrix_of_its_own():
    alone, several = asked_for([""]), asked_for(STANCES)
    gold, generated, asked = matrices(rows_of(several), "newsroom", STANCES)
    assert gold.counts.tolist() == matrices(rows_of(alone), "newsroom", STANCES)[0].counts.tolist()
    assert generated.counts.sum() == len(several)
    assert asked.given == "asked"
    pairs = [(one.question["asked"], stance_of(one.text)) for one in several]
    assert asked.counts.tolist() == by_hand(pairs)


def test_an_unknown_stance_of_an_article_is_the_one_that_is_read_in_it():
    answers = asked_for([""])
    hidden = [
        Answered(one.question | {"stance": "", "asked": ""}, one.text, one.references)
        for one in answers
    ]
    for known, read in zip(
        matrices(rows_of(answers), "newsroom", STANCES),
        matrices(rows_of(hidden), "newsroom", STANCES),
        strict=True,
    ):
        assert known.counts.tolist() == read.counts.tolist()


def test_ranks_are_counted_together(monkeypatch):
    answers = asked_for([""])
    whole, half = SummaryRows([NewsroomMeasures()]), SummaryRows([NewsroomMeasures()])
    whole.add(answers[:20], [one.score(answers[:20]) for one in whole.measures])
    half.add(answers[:10], [one.score(answers[:10]) for one in half.measures])
    monkeypatch.setattr("modules.summariser.findings.tested.rank", lambda: 1)
    other = SummaryRows([NewsroomMeasures()])
    other.add(answers[10:20], [one.score(answers[10:20]) for one in other.measures])
    where = "modules.summariser.findings.tested.over_ranks"
    expected = whole.gathered()
    monkeypatch.setattr(where, lambda rows: [*other.rows, *rows])
    assert half.gathered() == expected


COUNTS = np.array([[6, 2, 1, 1], [0, 0, 0, 0], [3, 0, 8, 0]])


def test_shifts_are_the_papers_five_columns():
    row = StanceMatrix("guide", "gold", "article", STANCES, COUNTS).shifts()
    assert list(row) == [
        *["reader", "texts", "given", "num"],
        *["left", "lean_left", "none", "lean_right", "right", "unread"],
    ]
    assert [row[name] for name in ("left", "lean_left", "none", "lean_right", "right")] == [
        pytest.approx(100 * one / 20, abs=0.01) for one in (3, 0, 14, 2, 1)
    ]
    assert (row["num"], row["unread"]) == (20, 1)


def test_lines_of_a_matrix_hold_counts_and_shares():
    left, center, _ = StanceMatrix("guide", "gold", "article", STANCES, COUNTS).rows()
    assert [left[name] for name in ("stance", "num", "left", "none")] == ["left", 10, 6, 1]
    assert [left[f"{name}_share"] for name in STANCES] == [0.6, 0.2, 0.1]
    assert (center["num"], center["left_share"]) == (0, None)


def test_heat_maps_stand_side_by_side():
    matrix = StanceMatrix("guide", "gold", "article", STANCES, COUNTS)
    one = matrix.picture()
    both = beside([[one, one], [one]])
    assert both.width > 2 * one.width
    assert both.height > 2 * one.height
    assert both.crop((0, 0, *one.size)).tobytes() == one.tobytes()


def test_rows_hold_texts_readings_and_the_measures_that_a_summary_has():
    rows = rows_of(asked_for([""], 6), NewsroomMeasures(), Rouge())
    assert rows[0]["newsroom_summary"] == stance_of(rows[0]["summary"])
    assert rows[0]["newsroom_reference"] == stance_of(rows[0]["reference"])
    f1 = rouge(rows[0]["summary"], [rows[0]["reference"]])["rouge_1"].f1
    assert rows[0]["rouge_1"] == pytest.approx(f1, abs=1e-6)
    assert rows[3]["newsroom_summary"] == "none"
    assert rows[4]["newsroom_reference"] == rows[4]["reference"] == ""
    assert "rouge_1" not in rows[4]
    assert rows[4]["facts"] < 1
    assert [row["id"] for row in rows] == [f"id {n}" for n in range(6)]


def test_requests_are_compared_by_stance_and_by_pair():
    answers = asked_for(STANCES, 8)
    texts = {"left": "the cat sat", "center": "the cat sat", "right": "a dog sat"}
    answers = [Answered(one.question, texts[one.question["asked"]], []) for one in answers]
    rows = rows_of(answers)
    groups = of_one_article([*rows, rows[0] | {"id": "alone"}])
    assert [len(one) for one in groups] == [3] * 8
    same, *apart = by_pair(groups, STANCES)
    f1 = {name: one.f1 for name, one in rouge(texts["left"], [texts["right"]]).items()}
    assert same == {"asked": "left", "other": "center", "num": 8, "same": 1} | dict.fromkeys(f1, 1)
    for row in apart:
        assert row == {"asked": row["asked"], "other": "right", "num": 8, "same": 0} | {
            name: pytest.approx(one, abs=1e-6) for name, one in f1.items()
        }
    gold = [Answered(one.question, one.references[0], []) for one in asked_for(STANCES, 4)]
    golds = rows_of(gold)
    for row in by_request(golds, STANCES, ["newsroom"]):
        kept = [stance_of(one.text) == row["asked"] for one in gold[::3]]
        assert row["newsroom_follows"] == row["kept"] == sum(kept) / 4
        assert row["facts"] == row["exact"] == 1
