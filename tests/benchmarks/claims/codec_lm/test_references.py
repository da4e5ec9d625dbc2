"""Test images and clips that samples of file models are compared with."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.claims.codec_lm.__main__ import categories
from benchmarks.claims.codec_lm.clips import truth
from benchmarks.claims.codec_lm.files import Files, raw
from datamodules.clips.moving_images import MovingImages
from datamodules.codec.datamodule import CodecText
from datamodules.images.digits import Digits
from datamodules.images.parquet import ImageTextParquet
from modules.codec_lm.h264.codec import AvcCodec
from modules.codec_lm.jpeg.codec import JpegCodec
from tests.fixtures.images import encoded


def files_of(text, codec):
    """Files of a model that is not needed here."""
    data = SimpleNamespace(unfinished=[text])
    return Files(SimpleNamespace(codec=codec), data, 0, 0, 0.0, 0.0, {})


def test_raw_images_are_the_first_test_images_before_any_codec():
    codec = JpegCodec(16, 16, sampling="grey")
    text = CodecText(Digits("test"), codec)
    images = raw(files_of(text, codec), 3)
    assert images.shape == (3, 16, 16, 3)
    for index in range(3):
        assert np.array_equal(images[index, ..., 0], text.pixels(index))


def test_true_clips_are_the_first_test_clips_as_the_codec_decodes_them():
    codec = AvcCodec(16, 16, 2)
    text = CodecText(MovingImages(Digits("test"), num=2, size=8), codec)
    clips = truth(files_of(text, codec), 2)
    assert len(clips) == 2
    for index, clip in enumerate(clips):
        assert np.array_equal(clip, codec.decode(codec.encode(text.pixels(index))))


def test_categories_are_those_of_the_rows_of_the_source_in_order(tmp_path):
    rows = {"image": [{"bytes": encoded(i)} for i in range(4)], "split": ["test", "train"] * 2}
    path = tmp_path / "emoji.parquet"
    pq.write_table(pa.table(rows | {"category": ["a", "b", "c", "d"]}), path)
    source = ImageTextParquet(str(path), caption=None, where={"split": "test"}, cache=str(tmp_path))
    assert categories([CodecText(source, JpegCodec(16, 16))]) == ["a", "c"]
