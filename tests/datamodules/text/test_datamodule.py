from collections import Counter
from itertools import islice

import pytest
import torch

from datamodules.records.document import Document
from datamodules.stream.loader import Batch
from datamodules.synthetic.stories.source import StoryText, story
from datamodules.text.datamodule import TextData
from datamodules.text.files import PlainText
from datamodules.text.tokenizer import load_tokenizer
from tests.fixtures.text_data import ready


def pieces(batch: Batch) -> list[list[int]]:
    """The tokens of each piece, paddings included."""
    tokens = iter(batch["token_BL"].flatten().tolist())
    return [list(islice(tokens, length)) for length in batch["length_N"]]


def plain_labels(batch: Batch) -> list[int]:
    """Labels by the contract, piece by piece of a row; padding is all zeros."""
    labels = []
    for piece in pieces(batch):
        labels += [*piece[1:], -100] if any(piece) else [-100] * len(piece)
    return labels


@pytest.mark.parametrize("row_length", [64, 1000])
@pytest.mark.parametrize("packing", ["best_fit", "concatenate"])
def test_labels_and_positions_are_those_of_the_plain_loop(make, packing, row_length):
    data = ready(make(packing=packing, long_documents="split", row_length=row_length))
    for batch in data.train_dataloader():
        assert sum(batch["length_N"]) == 4 * row_length
        positions = [i for length in batch["length_N"] for i in range(length)]
        assert batch["position_BL"].flatten().tolist() == positions
        assert batch["label_BL"].flatten().tolist() == plain_labels(batch)
        assert batch["num_targets"] == sum(label != -100 for label in plain_labels(batch))
        for name in ("token_BL", "label_BL", "position_BL"):
            assert batch[name].dtype == torch.int64
            assert batch[name].shape == (4, row_length)


def test_an_epoch_holds_every_story_once(make):
    data = ready(make(batch_size=1))
    vocabulary = load_tokenizer(data.tokenizer)
    counts = Counter(
        vocabulary.backend.decode(piece[1:-1])
        for batch in data.train_dataloader()
        for piece in pieces(batch)
        if any(piece)
    )
    assert counts == Counter(story(0, i) for i in range(60))


@pytest.mark.parametrize("row_length", [50, 384])
def test_bytes_of_all_targets_are_the_bytes_of_the_text(make, row_length):
    whole = sum(len(story(0, i).encode()) for i in range(60))
    data = ready(make(batch_size=1, long_documents="split", row_length=row_length))
    share = data.mixture_report()["stories:60:0"]
    num_targets = share.tokens - 60
    batches = list(data.train_dataloader())
    assert sum(batch["num_targets"] for batch in batches) == num_targets - share.lost
    expected = whole * (num_targets - share.lost) / num_targets
    assert sum(batch["num_bytes"] for batch in batches) == pytest.approx(expected, rel=0.01)
    if row_length == 384:
        assert share.lost == 0


def test_validation_sees_every_row_once_and_fillers_have_no_target(make):
    data = ready(make(validate=[StoryText(31, seed=1)], eval_batch_size=5))
    assert len(data._rows["validate"]) % 5 != 0
    batches = list(data.val_dataloader())
    rows = [row for batch in batches for row in batch["row_B"] if row >= 0]
    assert rows == list(range(len(data._rows["validate"])))
    is_filler = torch.tensor(batches[-1]["row_B"]) < 0
    assert is_filler.any()
    assert (batches[-1]["label_BL"][is_filler] == -100).all()
    assert batches[-1]["token_BL"].shape == (5, 384)
    whole = sum(len(story(1, i).encode()) for i in range(31))
    assert sum(batch["num_bytes"] for batch in batches) == pytest.approx(whole)


def test_without_validation_text_there_is_no_validation(make):
    assert ready(make()).val_dataloader() == []


def test_without_test_text_testing_is_refused(make):
    with pytest.raises(ValueError, match=r"data\.init_args\.test"):
        ready(make(), "test").test_dataloader()


def test_a_mixture_follows_its_weights_and_repeats_no_row_too_early(make):
    sources = [StoryText(60, weight=1.0), StoryText(90, seed=1, weight=3.0)]
    data = ready(make(train=sources, batch_size=1))
    sizes = data._rows["train"].sizes
    stream = data.train_dataloader()
    rows: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    for _ in range(4):
        for batch in stream:
            rows.update(batch["row_B"])
            counts.update(batch["source_B"])
            assert batch["source_B"] == [int(batch["row_B"][0] >= sizes[0])]
    assert counts[1] / counts.total() == pytest.approx(0.75, abs=0.02)
    for source in (0, 1):
        own = [n for row, n in rows.items() if (row >= sizes[0]) == bool(source)]
        assert len(own) == sizes[source]
        assert max(own) - min(own) <= 1


def test_the_report_states_shares_in_tokens(make, capsys):
    sources = [StoryText(60), StoryText(60, weight=3.0)]
    data = ready(make(train=sources))
    report = data.mixture_report()
    assert list(report) == ["stories:60:0", "stories:60:0 #2"]
    assert [share.asked for share in report.values()] == [0.25, 0.75]
    assert sum(share.realised for share in report.values()) == pytest.approx(1.0)
    assert report["stories:60:0"].realised == pytest.approx(0.25, abs=0.02)
    assert "stories:60:0 #2: 60 documents" in capsys.readouterr().out


def test_a_document_too_long_is_named_with_its_origin(make):
    with pytest.raises(ValueError, match=r"stories:60:0:\d+ has \d+ tokens, but a row holds 20\."):
        ready(make(row_length=20))


def test_dropped_documents_are_counted(make):
    lengths = ready(make())._rows["train"].sources[0].file.lengths
    longest = int(lengths.max())
    data = ready(make(row_length=longest - 1, long_documents="drop"))
    assert data.mixture_report()["stories:60:0"].dropped == int((lengths == longest).sum())


@pytest.mark.parametrize("stage", ["train", "validate"])
def test_a_source_of_which_nothing_is_left_is_refused_before_the_first_step(make, stage):
    sources = {"train": [StoryText(5)], "validate": [StoryText(5)]}
    long = type("Long", (StoryText,), {"grammar": -1, "text": lambda self, i: "long " * 500})
    data = make(**sources | {stage: [StoryText(5), long(3)]}, long_documents="drop")
    with pytest.raises(ValueError, match=f"all 3 documents of {stage} are longer than row_length"):
        ready(data)


def test_training_documents_need_no_tokenizer():
    data = TextData("nowhere/at/all", [StoryText(3), StoryText(2, seed=1)])
    expected = [story(0, 0), story(0, 1), story(0, 2), story(1, 0), story(1, 1)]
    assert list(data.training_documents()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row_length": 1}, "row_length must be at least 2, got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"eval_batch_size": 0}, "eval_batch_size must be at least 1, got 0"),
        ({"train": []}, "train is empty"),
        ({"train": [StoryText(1, weight=0.0)]}, "weight of stories:1:0 must be above 0"),
        ({"train": [StoryText(1, weight=float("inf"))]}, "must be above 0 and finite, got inf"),
        ({"max_bad_rate": 2.0}, "max_bad_rate"),
    ],
)
def test_a_bad_config_is_refused_at_once(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_bad_documents_above_the_rate_stop_the_run(make, tmp_path):
    text = tmp_path / "a.txt"
    text.write_bytes(b"good\n" * 50 + b"\xff\n")
    with pytest.raises(ValueError, match=r"a\.txt: 1 of 51 documents are bad.*a\.txt:51"):
        ready(make(train=[PlainText(str(text), "\n")]))


def test_control_tokens_in_a_text_are_read_as_such_or_as_characters(tokenizer_folder, tmp_path):
    tokenizers = load_tokenizer(tokenizer_folder), load_tokenizer(tokenizer_folder, False)
    assert tokenizers[0].fingerprint != tokenizers[1].fingerprint
    word = tokenizers[0].backend.eos_token
    text = f"one {word} two"
    assert tokenizers[0].eos in tokenizers[0].encode([text])[0]
    ids = tokenizers[1].encode([text])[0]
    assert tokenizers[1].eos not in ids
    assert tokenizers[1].backend.decode(ids) == text
    whole = Document(f"{tokenizers[0].backend.bos_token}one{word}", "a:1")
    [twice] = tokenizers[0].encode_documents([whole])
    assert (twice.ids.count(tokenizers[0].start), twice.ids.count(tokenizers[0].eos)) == (1, 1)


def test_an_epoch_is_told_in_steps(make, capsys):
    data = ready(make(batch_size=3), "fit")
    rows = data.train_dataloader().order.num_items
    assert f"an epoch is {rows} rows: {rows // 3} steps of 3 rows" in capsys.readouterr().out


def test_the_yaml_names_sources_by_class(make, tokenizer_folder):
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_subclass_arguments(TextData, "data")
    source = {
        "class_path": "datamodules.synthetic.stories.source.StoryText",
        "init_args": {"num": 5},
    }
    options = {"tokenizer": tokenizer_folder, "train": [source], "row_length": 256}
    config = {"class_path": "datamodules.text.datamodule.TextData", "init_args": options}
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert [type(source) for source in data.sources["train"]] == [StoryText]
