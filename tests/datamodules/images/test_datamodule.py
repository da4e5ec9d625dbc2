"""Images alone."""

import numpy as np
import pytest
import torch

from datamodules.images.datamodule import ImageData
from datamodules.images.digits import Digits
from datamodules.images.items import ImageItems, scaled
from datamodules.images.source import ImageSource, Pair


class Some(ImageSource):
    """Images of one brightness each; every fifth is broken."""

    name = "some"

    def __init__(self, num=20, broken=5, weight=1.0):
        super().__init__(weight)
        self.num, self.broken = num, broken

    def __len__(self):
        return self.num

    def location(self, index):
        return f"some:{index + 1}"

    def sample(self, index, rng):
        whole = Pair(np.full((6, 6, 3), index, np.uint8), [])
        return Pair(b"no image", []) if index % self.broken == 1 else whole

    def fingerprint(self):
        return "some"


def data(**more):
    options = {"size": 6, "channels": 1, "batch_size": 4, "max_bad_rate": 0.5, **more}
    return ImageData([Some()], [Some()], [Some()], **options)


def brightness(batch):
    return [round((float(p.mean()) + 1) * 127.5) for p in batch["pixel_BCHW"]]


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_lie_between_minus_one_and_one(channels):
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)[:, :, :channels]
    image[0, 0], image[-1, -1] = 0, 255
    pixels = scaled(image if channels == 3 else image[:, :, 0])
    assert pixels.shape == (channels, 8, 8)
    assert pixels.dtype == np.float32
    assert pixels.min() == -1
    assert pixels.max() == 1
    assert np.array_equal(np.round((pixels + 1) * 127.5), image.transpose(2, 0, 1))


def test_another_image_replaces_a_broken_one_in_training_only():
    items = ImageItems([Some()], 6, 1, 0, replace=True)
    batch = items.batch(np.arange(4), 4)
    assert batch["num_targets"] == 4
    assert len(batch["bad_samples"]) == 1
    assert batch["bad_samples"][0].origin == "some:2"
    assert brightness(batch) == batch["row_B"]
    batch = ImageItems([Some()], 6, 1, 0, replace=False).batch(np.arange(4), 3)
    assert brightness(batch) == batch["row_B"] == [0, 2]
    assert batch["origin"] == ["some:1", "some:3"]
    assert batch["pixel_BCHW"].shape == (2, 1, 6, 6)


def test_a_batch_may_be_empty_outside_of_training():
    batch = ImageItems([Some()], 6, 3, 0, replace=False).batch(np.array([1]), 1)
    assert batch["pixel_BCHW"].shape == (0, 3, 6, 6)
    assert batch["num_targets"] == 0


def test_every_good_image_is_evaluated_once():
    images = data()
    images.setup("test")
    rows = [row for batch in images.test_dataloader() for row in batch["row_B"]]
    assert rows == [n for n in range(20) if n % 5 != 1]
    first = next(iter(data_after_setup("predict", num_samples=3).predict_dataloader()))
    assert first["row_B"] == [0, 2]


def data_after_setup(stage, **more):
    images = data(**more)
    images.setup(stage)
    return images


def test_a_resumed_stream_continues_with_the_next_image():
    whole = iter(data_after_setup("fit").train_dataloader())
    batches = [next(whole) for _ in range(5)]
    first = data_after_setup("fit")
    stream = iter(first.train_dataloader())
    for _ in range(3):
        next(stream)
    second = data_after_setup("fit")
    second.load_state_dict(first.state_dict())
    resumed = next(iter(second.train_dataloader()))
    assert resumed["row_B"] == batches[3]["row_B"]
    assert torch.equal(resumed["pixel_BCHW"], batches[3]["pixel_BCHW"])


def test_images_for_a_palette_are_all_good_ones_in_order():
    values = [int(image[0, 0, 0]) for image in data(channels=3).training_images()]
    assert values == [n for n in range(20) if n % 5 != 1]


def test_digits_are_images():
    pytest.importorskip("sklearn")
    images = ImageData([Digits("test")], size=8, channels=1)
    images.setup("fit")
    batch = next(iter(images.train_dataloader()))
    assert batch["pixel_BCHW"].shape == (64, 1, 8, 8)
    assert batch["step_targets"] == batch["num_targets"] == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"max_pixels": 0}, "max_pixels must be at least 1, got 0"),
        ({"channels": 4}, "channels must be one of 1, 3, got 4"),
        ({"max_bad_rate": 2.0}, r"within \[0, 1\], got 2.0"),
        ({"train": []}, "train is empty"),
        ({"train": [Some(weight=0)]}, "weight of some must be above 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ImageData(**{"train": [Some()], **options})


def test_without_test_images_the_test_says_so():
    with pytest.raises(ValueError, match="no test images"):
        ImageData([Some()]).test_dataloader()
