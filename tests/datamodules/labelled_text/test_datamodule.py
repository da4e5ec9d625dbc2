"""Texts by people and machines."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.labelled_text.attacks import Truncation, Whitespace
from datamodules.labelled_text.datamodule import LabelledTextData
from datamodules.labelled_text.selection import Selection, choose
from datamodules.labelled_text.splits import check_splits, with_splits
from datamodules.labelled_text.windows import cut_windows
from datamodules.stream.length_buckets import NUM_BUCKETS, Bucketed
from datamodules.stream.loader import ResumableLoader
from datamodules.stream.order import Draws, Mixture
from tests.fixtures.machine_texts import GENERATORS, as_rows, made_up, source, write


@pytest.fixture
def data(tmp_path, tokenizer_folder):
    """Data over a small table."""

    def build(rows=None, name="texts.parquet", **more):
        path = tmp_path / name
        if rows is not None or not path.exists():
            write(made_up() if rows is None else rows, path)
        sizes = {"batch_size": 4, "max_length": 64, "cache": str(tmp_path / "cache")}
        return LabelledTextData(tokenizer_folder, [source(path)], **{**sizes, **more})

    return build


def test_too_many_unusable_rows_stop_the_run(data):
    rows = made_up()
    for row in rows[::9]:
        row["text"] = ""
    with pytest.raises(ValueError, match=r"documents are bad .*empty"):
        data(rows).prepare_data()
    data(rows, max_bad_rate=0.5).prepare_data()


# Splits


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
    with pytest.raises(ValueError, match=f"human text {first['pair_id']}.* stands in two splits"):
        check_splits(moved, {"train", "val", "test"})
    check_splits(moved, {first["split"]})


def test_all_texts_in_two_splits_are_counted_and_the_first_are_named():
    rows = made_up(num=40)
    firsts = [row for row in rows if row["split"] == "train" and row["label"] == 1][::2]
    moved = as_rows([*rows, *({**row, "split": "test"} for row in firsts)])
    num = len({row["pair_id"] for row in firsts})
    with pytest.raises(
        ValueError, match=f"{num} texts stand in more than one split.*drop"
    ) as raised:
        check_splits(moved, {"train", "test"})
    assert str(raised.value).count("stands in two splits") == 20
    assert f"and {num - 20} more" in str(raised.value)


def test_texts_in_two_splits_are_left_out_where_that_is_asked_for(data):
    rows = made_up()
    moved = [{**row, "split": "test"} for row in rows if row["split"] == "train"][:8]
    moved += [{**row, "split": "val"} for row in rows if row["split"] == "train"][-4:]
    with pytest.raises(ValueError, match="stand in more than one split"):
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


def test_texts_that_a_table_says_are_attacked_do_not_count_as_they_are(data):
    rows = made_up()
    attacked = [
        {**row, "text": row["text"].replace("a", "@"), "attack": "homoglyph"}
        for row in rows
        if row["label"] == 0
    ]
    rows = [{**row, "attack": ""} for row in rows]
    plain = data(rows, plain=False)
    whole = data([*rows, *attacked], name="both.jsonl", plain=False)
    assert whole.labelled_texts("test") == plain.labelled_texts("test")
    assert not any("@" in text for text in whole.labelled_texts("train")[0])
    assert len(whole.chosen("train")) == len(plain.chosen("train"))
    tested = data(name="both.jsonl", plain=False, test=Selection("test", attacks=None))
    names = [name for batch in tested.test_dataloader() for name in batch["attack_N"]]
    assert {name: names.count(name) for name in names} == {"none": 32, "homoglyph": 16}
    with pytest.raises(
        ValueError, match="no attack in test called 'case'; there is homoglyph, non"
    ):
        data(name="both.jsonl", test=Selection("test", attacks=["case"])).chosen("test")


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


# Batches


def test_every_test_text_is_seen_once_with_what_is_known_of_it(data):
    datamodule = data()
    datamodule.setup("test")
    batches = list(datamodule.test_dataloader())
    rows = [row for batch in batches for row in batch["row_N"]]
    assert sorted(rows) == datamodule.chosen("test")
    for batch in batches:
        for n, row in enumerate(batch["row_N"]):
            known = datamodule.table.rows[row]
            assert batch["text_N"][n] == known.text
            assert batch["generator_N"][n] == known.generator
            assert batch["label_N"][n].item() == (not known.is_human)
        assert batch["token_WL"].shape == batch["mask_WL"].shape
        assert len(batch["token_WL"]) == sum(batch["windows_N"])


def test_windows_hold_every_token_and_overlap_no_more_than_they_must():
    tokens = np.array([7, *range(100, 131), 8])
    windows = cut_windows(tokens, 12)
    assert {len(w) for w in windows} == {12}
    assert len(windows) == 4
    assert all(w[0] == 7 and w[-1] == 8 for w in windows)
    assert {*range(100, 131)} == {token for w in windows for token in w[1:-1].tolist()}
    assert cut_windows(tokens, 33) == [pytest.approx(tokens)]


def test_training_sees_one_window_of_a_text_and_evaluation_all(data):
    datamodule = data(max_length=16)
    datamodule.setup("fit")
    assert set(next(iter(datamodule.train_dataloader()))["windows_N"]) == {1}
    assert min(next(iter(datamodule.val_dataloader()))["windows_N"]) > 1


@pytest.mark.parametrize(("balance", "share"), [(True, 0.5), (False, 2 / 3)])
def test_training_takes_classes_equally_often_if_it_should(data, balance, share):
    datamodule = data(balance=balance, batch_size=8, pool_size=1)
    datamodule.setup("fit")
    _, labels = datamodule.labelled_texts("train")
    assert sum(labels) / len(labels) == pytest.approx(2 / 3)
    batches = list(datamodule.train_dataloader())
    seen = torch.cat([batch["label_N"] for batch in batches]).float()
    assert seen.mean().item() == pytest.approx(share, abs=0.03)
    assert len(seen) == len(labels) // 8 * 8


def test_a_resumed_stream_goes_on_with_the_next_text(data):
    first, second = data(), data()
    for datamodule in (first, second):
        datamodule.setup("fit")
    whole = iter(first.train_dataloader())
    batches = [next(whole) for _ in range(5)]
    third = data()
    third.setup("fit")
    stream = iter(second.train_dataloader())
    for _ in range(3):
        next(stream)
    third.load_state_dict(second.state_dict())
    resumed = next(iter(third.train_dataloader()))
    assert resumed["row_N"] == batches[3]["row_N"]
    assert torch.equal(resumed["token_WL"], batches[3]["token_WL"])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 40), st.integers(0, 9))
def test_every_epoch_has_each_text_once_and_similar_lengths_come_together(num, pool, seed):
    lengths = np.random.default_rng(seed).integers(1, 50, num)
    order = Draws(Mixture([num], [1.0], seed))
    bucketed = Bucketed(order, lengths, pool, seed)
    for epoch in range(3):
        first, last = epoch * num, (epoch + 1) * num
        assert sorted(bucketed.items(first, last)) == sorted(order.items(first, last))
    assert [*bucketed.items(2, 3 * num)] == [*bucketed.items(0, 3 * num)[2:]]
    for first, last in pairwise(bucketed.bounds):
        batch_lengths = lengths[bucketed.items(first, last) % num]
        falls = sum(b < a for a, b in pairwise(batch_lengths.tolist()))
        assert falls < min(NUM_BUCKETS, last - first)  # it rises within each bucket
        assert max(1, pool / 2) <= last - first <= 1.5 * pool or len(bucketed.bounds) == 2


@settings(max_examples=40, deadline=None)
@given(
    st.integers(8, 80),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 3), st.integers(1, 9)),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 9),
)
def test_no_text_is_lost_or_repeated_when_ranks_and_batches_change(num, parts, seed):
    """Each part is a run with its own ranks, batch size and accumulation, for some steps."""
    lengths = np.random.default_rng(seed).integers(1, 50, num)

    def loaders(world, size, window):
        order = Bucketed(Draws(Mixture([num], [1.0], seed)), lengths, 24, seed)
        return [
            ResumableLoader(Places(), order, size, rank, world, window=window)
            for rank in range(world)
        ]

    state, seen = None, []
    for world, size, window, steps in parts:
        if world * size > num:
            continue
        made = loaders(world, size, window)
        if state is not None:
            for loader in made:
                loader.load_state_dict(state)
        streams = [iter(loader) for loader in made]
        for _ in range(steps):
            batches = [next(stream, None) for stream in streams]
            if batches[0] is None:  # the epoch of this trainer is over
                break
            seen += [place for batch in batches for place in batch["places"]]
        state = made[0].state_dict()
    alone = Bucketed(Draws(Mixture([num], [1.0], seed)), lengths, 24, seed)
    assert sorted(seen) == sorted(alone.items(0, len(seen)).tolist())
    whole = [place % num for place in seen[: len(seen) // num * num]]
    assert sorted(whole) == sorted([*range(num)] * (len(seen) // num))


class Places:
    """Items that are their own indices."""

    def batch(self, ids, num_real):
        return {"places": ids.tolist(), "num_targets": num_real}


@pytest.mark.parametrize("sizes", [(2, 4, 1, 4), (1, 4, 1, 8), (1, 3, 2, 5)])
def test_a_run_whose_ranks_or_batches_change_sees_what_one_process_sees(data, sizes):
    (world, size), (other_world, other_size) = sizes[:2], sizes[2:]
    rows, state = [], None
    for ranks, batch_size, steps in [
        (world, size, 3),
        (other_world, other_size, 2),
        (world, size, 2),
    ]:
        datamodules = [data(batch_size=batch_size) for _ in range(ranks)]
        for rank, datamodule in enumerate(datamodules):
            datamodule.replica = lambda rank=rank, ranks=ranks: (rank, ranks)
            datamodule.setup("fit")
            if state is not None:
                datamodule.load_state_dict(state)
        streams = [iter(datamodule.train_dataloader()) for datamodule in datamodules]
        for _ in range(steps):
            rows += [row for stream in streams for row in next(stream)["row_N"]]
        state = datamodules[0].state_dict()
    alone = data(batch_size=1)
    alone.setup("fit")
    loader = alone.train_dataloader()
    wanted = []
    while len(wanted) < len(rows):
        wanted += [row for batch in loader for row in batch["row_N"]]
    assert sorted(rows) == sorted(wanted[: len(rows)])


def test_texts_are_tokenised_once_whatever_is_selected(data, tmp_path):
    data().prepare_data()
    kept = sorted((tmp_path / "cache").iterdir())
    data(train=Selection("train", ["small"], budget=8), seed=3).prepare_data()
    assert sorted((tmp_path / "cache").iterdir()) == kept
    assert len(kept) == 1


def test_line_breaks_and_kinds_of_quotes_tell_nothing(data):
    rows = made_up()
    rows[8]["text"] = "\u201ca\n\nb\u2019s\u201d \u2013  c\u2026"
    datamodule = data(rows)
    assert datamodule.table.rows[8].text == '"a b\'s" - c...'
    assert data(rows, plain=False).table.rows[8].text == rows[8]["text"]


def test_attacked_copies_follow_the_texts_as_they_are(data):
    datamodule = data(attacks=[Whitespace(share=1.0), Truncation(words=5)], plain=False)
    datamodule.setup("test")
    seen = [
        (attack, label, text)
        for batch in datamodule.test_dataloader()
        for attack, label, text in zip(
            batch["attack_N"], batch["label_N"].tolist(), batch["text_N"], strict=True
        )
    ]
    of = {name: [row for row in seen if row[0] == name] for name in {row[0] for row in seen}}
    assert {name: len(of[name]) for name in of} == {
        "none": 32,
        "whitespace_1": 16,
        "first_5_words": 32,
    }
    assert {row[1] for row in of["whitespace_1"]} == {1}
    assert all("  " in row[2] for row in of["whitespace_1"])
    assert {len(row[2].split()) for row in of["first_5_words"]} == {5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 2}, "max_length must be at least 3, got 2"),
        ({"max_bad_rate": 1.5}, r"within \[0, 1\], got 1.5"),
        ({"classes": ["human"]}, "at least two, got human"),
        ({"validate": Selection("train")}, "train and validate both take the split 'train'"),
        ({"test": Selection("val")}, "validate and test both take the split 'val'"),
        ({"attacks": [Whitespace(), Whitespace(seed=1)]}, "two that are called whitespace"),
    ],
)
def test_bad_options_are_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        data(**options)


def test_bad_selections_are_refused():
    with pytest.raises(ValueError, match="budget must be at least 2, got 1"):
        Selection("train", budget=1)
    with pytest.raises(ValueError, match="generators is empty"):
        Selection("train", [])


def test_other_labels_than_human_and_machine_are_classes_as_well(tmp_path, tokenizer_folder):
    rows = [
        {"text": f"text {i} of some words", "label": i % 3, "split": ("train", "val")[i % 5 == 0]}
        for i in range(60)
    ]
    path = write(rows, tmp_path / "stance.jsonl")
    names = ["left", "center", "right"]
    labels = {str(i): name for i, name in enumerate(names)}
    datamodule = LabelledTextData(
        tokenizer_folder,
        [source(path, labels=labels)],
        classes=names,
        train=Selection("train", budget=12),
        test=Selection("val"),
        cache=str(tmp_path / "cache"),
    )
    _, labels = datamodule.labelled_texts("train")
    assert sorted(labels) == [0] * 4 + [1] * 4 + [2] * 4
