"""Which texts of a split are selected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.labelled_text.selection import Selection, choose
from tests.fixtures.machine_texts import GENERATORS, as_rows, made_up


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3),
    st.lists(st.sampled_from(GENERATORS), min_size=1, unique=True),
    st.one_of(st.none(), st.integers(1, 12)),
)
def test_no_human_text_crosses_splits_whatever_is_selected(seed, generators, pairs):
    rows = as_rows(made_up(num=20, seed=seed))
    budget = None if pairs is None else 2 * pairs
    train = choose(rows, Selection("train", generators, budget=budget), True, seed)
    rest = [i for s in ("val", "test") for i in choose(rows, Selection(s), False, seed)]
    assert {rows[i].pair_id for i in train}.isdisjoint(rows[i].pair_id for i in rest)
    human = [rows[i].pair_id for i in train if rows[i].is_human]
    assert len(human) == len(set(human))
    assert {rows[i].generator for i in train} <= {"human", *generators}
    if budget is not None:
        assert len(train) == budget
        assert len(human) == budget // 2


def test_detectors_of_one_budget_share_their_human_texts():
    rows = as_rows(made_up(num=40))
    chosen = [
        choose(rows, Selection("train", names, budget=20), True)
        for names in (["small"], ["large"], ["small", "large"])
    ]
    humans = [{rows[i].pair_id for i in selected if rows[i].is_human} for selected in chosen]
    assert humans[0] == humans[1] == humans[2]
    counts = [sum(rows[i].generator == name for i in chosen[2]) for name in GENERATORS]
    assert max(counts) - min(counts) <= 2  # a domain's odd one each
    assert {rows[i].domain for i in chosen[2]} == {"news", "tales"}


def test_a_pair_is_selected_whole():
    rows = as_rows(made_up())
    for i in (selected := choose(rows, Selection("train", budget=16), True)):
        same = [j for j in selected if rows[j].pair_id == rows[i].pair_id]
        assert sorted(rows[j].label for j in same) == ["human", "machine"]
        assert len({rows[j].paired_generator for j in same}) == 1


def test_texts_without_pairs_are_shared_out_evenly():
    rows = [{**row, "pair_id": f"{i}"} for i, row in enumerate(made_up(num=40))]
    with_pairs = as_rows(rows)
    chosen = [with_pairs[i] for i in choose(with_pairs, Selection("train", budget=16), True)]
    assert sum(row.is_human for row in chosen) == 8
    cells = [(row.generator, row.domain) for row in chosen if not row.is_human]
    assert sorted(cells) == sorted(2 * [(g, d) for g in GENERATORS for d in ("news", "tales")])


def test_evaluation_takes_every_cut_of_the_generators():
    rows = as_rows(made_up())
    chosen = choose(rows, Selection("test", ["small"]), False)
    assert {rows[i].paired_generator for i in chosen} == {"small"}
    assert len(chosen) == sum(r.split == "test" and r.paired_generator == "small" for r in rows)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection("train", budget=100), "asks for 50 pairs .*, but there are 24"),
        (Selection("dev"), "no split called 'dev'; there is test, train, val"),
        (Selection("train", ["huge"]), "no generator in train called 'huge'; there is large"),
        (Selection("train", domains=["law"]), "no domain in train called 'law'"),
    ],
)
def test_what_cannot_be_selected_is_named(selection, message):
    with pytest.raises(ValueError, match=message):
        choose(as_rows(made_up()), selection, True)


def test_a_split_of_one_class_is_refused(data):
    rows = [row for row in made_up() if row["split"] != "test" or row["label"] == 0]
    datamodule = data(rows)
    datamodule.setup("fit")
    with pytest.raises(ValueError, match="test: none of the 16 texts is human"):
        datamodule.chosen("test")


def test_bad_selections_are_refused():
    with pytest.raises(ValueError, match="budget must be at least 2, got 1"):
        Selection("train", budget=1)
    with pytest.raises(ValueError, match="generators is empty"):
        Selection("train", [])
