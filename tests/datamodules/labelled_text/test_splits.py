"""Splits of labelled texts: none shares a text with another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.labelled_text.splits import check_splits, with_splits
from tests.fixtures.machine_texts import as_rows, made_up


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 199), st.booleans(), st.sampled_from(["train", "val", "test"]))
def test_a_human_text_that_stands_in_two_splits_is_refused_and_named(number, keeps_pair, split):
    rows = made_up(num=10)
    check_splits(as_rows(rows), {"train", "val", "test"})
    first = [row for row in rows if row["label"] == 1][number % 40]
    again = {**first, "split": split, "text": "  " + first["text"] + " and more"}
    if not keeps_pair:
        again["pair_id"] = "another"
    moved = as_rows([*rows, again])
    if split == first["split"]:
        check_splits(moved, {"train", "val", "test"})
        return
    with pytest.raises(ValueError, match=f"human text {first['pair_id']}.* occurs in two splits"):
        check_splits(moved, {"train", "val", "test"})
    check_splits(moved, {first["split"]})


def test_all_texts_in_two_splits_are_counted_and_the_first_are_named():
    rows = made_up(num=40)
    firsts = [row for row in rows if row["split"] == "train" and row["label"] == 1][::2]
    moved = as_rows([*rows, *({**row, "split": "test"} for row in firsts)])
    num = len({row["pair_id"] for row in firsts})
    with pytest.raises(
        ValueError, match=f"{num} texts occur in more than one split.*drop"
    ) as raised:
        check_splits(moved, {"train", "test"})
    assert str(raised.value).count("occurs in two splits") == 20
    assert f"and {num - 20} more" in str(raised.value)


def test_texts_in_two_splits_are_left_out_where_that_is_asked_for(data):
    rows = made_up()
    moved = [{**row, "split": "test"} for row in rows if row["split"] == "train"][:8]
    moved += [{**row, "split": "val"} for row in rows if row["split"] == "train"][-4:]
    with pytest.raises(ValueError, match="occur in more than one split"):
        data([*rows, *moved]).setup("fit")
    datamodule = data([*rows, *moved], leaks="drop")
    with pytest.warns(UserWarning, match="12 rows of train are left out"):
        held = datamodule.table.rows
    check_splits(held, {"train", "val", "test"})
    assert len(held) == len(rows) + 12
    assert sum(row.split == "test" for row in held) == 8 + sum(r["split"] == "test" for r in rows)
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    assert all(datamodule.table.rows[row].split == "train" for row in batch["row_N"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9), st.integers(5, 60), st.booleans(), st.randoms())
def test_a_table_without_splits_is_cut_into_some_that_share_no_text(seed, num, paired, rng):
    rows = [{**row, "split": ""} for row in made_up(num=num, seed=seed)]
    if not paired:
        rows = [{**row, "pair_id": f"{i}"} for i, row in enumerate(rows)]  # cuts are still known
    shares = {"train": 0.8, "val": 0.1, "test": 0.1}
    split_rows = with_splits(as_rows(rows), shares)
    check_splits(split_rows, shares)
    again = as_rows(rows)
    order = [*range(len(again))]
    rng.shuffle(order)
    mixed = with_splits([again[i] for i in order], shares)
    if paired:
        assert [row.split for row in mixed] == [split_rows[i].split for i in order]
    for label in ("human", "machine"):
        texts = {row.pair_id: row.split for row in split_rows if row.label == label}
        for name, share in shares.items():
            there = sum(split == name for split in texts.values())
            assert abs(there / len(texts) - share) < 0.1 + 1 / num


def test_a_table_without_splits_trains_and_tests_by_fractions(data):
    rows = [{k: v for k, v in row.items() if k != "split"} for row in made_up()]
    with pytest.raises(ValueError, match=r"no row has a split\. .*init_args\.splits"):
        data(rows).setup("fit")
    datamodule = data(rows, splits={"train": 0.6, "val": 0.2, "test": 0.2})
    datamodule.setup("fit")
    num = {stage: len(datamodule.chosen(stage)) for stage in ("train", "validate", "test")}
    assert num["train"] > num["validate"] == num["test"] > 0
    with pytest.raises(ValueError, match="but all have one: test, train, val"):
        data(made_up(), splits={"train": 0.5, "val": 0.5}).setup("fit")
    with pytest.raises(ValueError, match=r"sum to 1, got \{train: 0.8, val: 0.1\}"):
        data(splits={"train": 0.8, "val": 0.1})
