"""Texts by people and machines."""

import numpy as np
import pytest

from datamodules.labelled_text.attacks import Truncation, Whitespace
from datamodules.labelled_text.datamodule import LabelledTextData
from datamodules.labelled_text.selection import Selection
from datamodules.labelled_text.windows import cut_windows
from tests.fixtures.machine_texts import made_up, source, write


def test_too_many_unusable_rows_stop_the_run(data):
    rows = made_up()
    for row in rows[::9]:
        row["text"] = ""
    with pytest.raises(ValueError, match=r"documents are bad .*empty"):
        data(rows).prepare_data()
    data(rows, max_bad_rate=0.5).prepare_data()


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
