import os
from pathlib import Path

import pytest

from datamodules.image_text.datamodule import ImageTextData
from datamodules.images.files import ImageTextFolder
from datamodules.images.parquet import ImageTextParquet
from datamodules.synthetic.shapes.source import ShapePairs
from datamodules.text.tokenizer import load_tokenizer
from modules.lmfusion.batch import ImageTextBatch
from tests.fixtures.image_text import BOI, EOI, ready
from tests.fixtures.images import NUM, caption, write_folder


def test_a_batch_holds_start_caption_image_or_start_image_caption_end(make, tmp_path):
    vocabulary = load_tokenizer(make(ShapePairs(1)).tokenizer)
    source = ImageTextFolder(write_folder(tmp_path, num=1))
    [ids] = vocabulary.encode([caption(0)])
    for caption_first, expected in (
        (1.0, [vocabulary.start, *ids, BOI]),
        (0.0, [vocabulary.start, BOI, EOI, *ids, vocabulary.eos]),
    ):
        data = ready(make(source, caption_first=caption_first, caption_dropout=0.0, batch_size=1))
        batch = next(iter(data.train_dataloader()))
        assert batch["token_T"].tolist() == expected
        assert batch["is_first_I"].tolist() == [caption_first == 0.0]
        assert batch["is_target_I"].tolist() == [True]
        assert batch["latent_ICHW"].shape == (1, 3, 8, 8)
        assert batch["step_targets"] == batch["num_targets"]
        last = {1.0: BOI, 0.0: vocabulary.eos}[caption_first]
        assert last in batch["label_T"].tolist()


def test_a_batch_holds_what_the_system_claims_and_nothing_else(make):
    data = ready(make(ShapePairs(9), validate=[ShapePairs(9)], image_size=32))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert {*next(iter(loader))} == {*ImageTextBatch.__annotations__}


def test_a_mixture_follows_its_weights(make):
    sources = [ShapePairs(40, weight=1.0), ShapePairs(40, seed=1, weight=3.0)]
    data = ready(make(*sources, image_size=32, batch_size=4))
    rows = [row for batch in data.train_dataloader() for row in batch["row_D"]]
    assert sum(row >= 40 for row in rows) / len(rows) == pytest.approx(0.75, abs=0.02)


def test_captions_can_train_a_tokenizer(make, tmp_path):
    source = ImageTextFolder(write_folder(tmp_path, [b"{"]))
    assert list(make(source).training_documents()) == [caption(i) for i in range(NUM)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"row_length": 5}, "row_length must be at least 6, got 5"),
        ({"num_patches": 5}, "num_patches must be a square whose side divides image_size=8, got 5"),
        ({"num_patches": 9}, "got 9"),
        ({"caption_first": 1.5}, r"caption_first must be within \[0, 1\], got 1.5"),
        ({"max_bad_rate": -1.0}, "max_bad_rate"),
    ],
)
def test_a_bad_config_is_refused_at_once(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(ShapePairs(1), **options)


def test_missing_sources_are_refused(make):
    with pytest.raises(ValueError, match="train is empty"):
        make()
    with pytest.raises(ValueError, match=r"weight of shapes:train:1:0 must be above 0"):
        make(ShapePairs(1, weight=0.0))
    with pytest.raises(ValueError, match=r"data\.init_args\.test"):
        ready(make(ShapePairs(1)), "test").test_dataloader()
    assert ready(make(ShapePairs(1))).val_dataloader() == []


def test_channels_that_pixels_do_not_have_are_refused_before_the_run(make):
    with pytest.raises(ValueError, match="pixels have 3 channels"):
        ready(make(ShapePairs(1), channels=4))


def test_the_yaml_names_sources_by_class(tokenizer_folder):
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_subclass_arguments(ImageTextData, "data")
    source = {
        "class_path": "datamodules.synthetic.shapes.source.ShapePairs",
        "init_args": {"num": 5},
    }
    options = {"tokenizer": tokenizer_folder, "train": [source]}
    config = {"class_path": "datamodules.image_text.datamodule.ImageTextData", "init_args": options}
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert [type(source) for source in data.sources["train"]] == [ShapePairs]


@pytest.mark.skipif("TRAINER_DATA" not in os.environ, reason="TRAINER_DATA is not set")
def test_the_emoji_come_as_batches(make, tmp_path):
    path = Path(os.environ["TRAINER_DATA"], "emoji", "emoji32.parquet")
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    source = ImageTextParquet(str(path), where={"split": "val"}, cache=str(tmp_path))
    data = ready(make(source, validate=[source], image_size=32, num_patches=64, batch_size=32))
    seen = [row for batch in data.val_dataloader() for row in batch["row_D"] if row >= 0]
    assert seen == list(range(136))
    batch = next(iter(data.train_dataloader()))
    assert batch["latent_ICHW"].shape == (32, 3, 32, 32)
    assert batch["latent_ICHW"].abs().max() <= 1.0
