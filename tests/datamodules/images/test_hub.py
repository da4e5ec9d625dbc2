"""Images of hub datasets: missing captions, bad rows, bad offsets, wrong columns."""

import numpy as np
import pytest

from datamodules.images.files import ImageTextHub
from datamodules.images.preprocess import square
from tests.fixtures.image_sources import cells, drawn, reason, write_parquet
from tests.fixtures.images import NUM, encoded, pixels


@pytest.mark.usefixtures("no_hub_cache")
def test_a_dataset_of_the_hub_may_have_no_captions(tmp_path):
    folder = tmp_path / "images"  # next to the cache
    folder.mkdir()
    write_parquet(folder / "a.parquet", cells(), label=[*range(NUM)])
    source = ImageTextHub(str(folder), caption=None)
    assert len(source) == NUM
    for index in (3, 0):
        pair = drawn(source, index)
        assert np.array_equal(square(pair.image, 8), pixels(index))
        assert pair.captions == [""]
    assert source.fingerprint() != ImageTextHub(str(folder)).fingerprint()
    with pytest.raises(ValueError, match="caption"):
        len(ImageTextHub(str(folder)))


@pytest.mark.usefixtures("no_hub_cache")
def test_a_bad_row_of_the_hub_makes_only_that_row_bad(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffers = pa.array([b"good", b"\xff bad", b"fine"], pa.binary()).buffers()
    words = pa.Array.from_buffers(pa.string(), 3, buffers)
    files = [{"bytes": encoded(0)}, {"bytes": encoded(1)}, {"bytes": None}]
    pq.write_table(pa.table({"image": files, "caption": words}), folder / "a.parquet")
    source = ImageTextHub(str(folder))
    assert drawn(source, 0).captions == ["good"]
    assert [reason(source, i) for i in (1, 2)] == ["not UTF-8 at byte 0", "no image"]


@pytest.mark.usefixtures("no_hub_cache")
def test_a_row_of_the_hub_that_points_outside_its_file_is_never_followed(tmp_path):
    from datasets import Dataset

    folder = tmp_path / "saved"
    rows = {"image": [{"bytes": encoded(i)} for i in range(3)], "caption": ["aaaa", "bbbb", "cccc"]}
    Dataset.from_dict(rows).save_to_disk(str(folder))
    [file] = folder.glob("*.arrow")
    offsets = np.array([0, 4, 8, 12], np.int32).tobytes()
    content = file.read_bytes()
    assert content.count(offsets) == 1
    broken = np.array([0, 4, 2**30, 12], np.int32).tobytes()
    file.write_bytes(content.replace(offsets, broken))
    source = ImageTextHub(str(folder))
    assert drawn(source, 0).captions == ["aaaa"]
    assert "ArrowInvalid" in reason(source, 1)


@pytest.mark.usefixtures("no_hub_cache")
def test_a_hub_column_without_images_is_named(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    write_parquet(folder / "a.parquet", cells(2), caption=["a", "b"], n=[1, 2])
    with pytest.raises(ValueError, match=r"images:train: column 'n' holds no images: "):
        len(ImageTextHub(str(folder), image="n"))


def test_a_hub_name_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        len(ImageTextHub(str(tmp_path / "none")))
