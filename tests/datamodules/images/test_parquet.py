"""Images and captions in Parquet: conditions, forms of cells, bad rows, parts of a file."""

import os
from pathlib import Path

import numpy as np
import pytest

from datamodules.images.parquet import ImageTextParquet
from datamodules.images.preprocess import square
from tests.fixtures.image_sources import captions, cells, drawn, reason, write_parquet
from tests.fixtures.images import NUM, caption, encoded, pixels


def test_parquet_takes_the_rows_that_fulfil_the_conditions(tmp_path):
    split = ["train" if i % 3 else "val" for i in range(NUM)]
    n = [i // 6 for i in range(NUM)]
    path = write_parquet(tmp_path / "a.parquet", cells(), caption=captions(), split=split, n=n)
    where = {"split": "val", "n": "1"}
    source = ImageTextParquet(path, where=where, cache=str(tmp_path))
    assert [drawn(source, i).captions for i in range(len(source))] == [[caption(6)], [caption(9)]]
    assert source.location(0) == f"{path}:7"
    with pytest.raises(ValueError, match=r"a\.parquet has no row with split=none"):
        len(ImageTextParquet(path, where={"split": "none"}, cache=str(tmp_path)))


def test_parquet_holds_bytes_paths_and_lists_of_captions(tmp_path):
    (tmp_path / "1.png").write_bytes(encoded(1))
    several: list[object] = [["one", "two"], ["three"]]
    plain = write_parquet(tmp_path / "b.parquet", [encoded(0), encoded(1)], caption=several)
    named = write_parquet(tmp_path / "p.parquet", ["0.png", "1.png"], caption=several)
    for path in (plain, named):
        source = ImageTextParquet(path, cache=str(tmp_path / "c"))
        assert np.array_equal(square(drawn(source, 1).image, 8), pixels(1))
    assert drawn(ImageTextParquet(plain, cache=str(tmp_path / "c")), 0).captions == ["one", "two"]
    assert reason(ImageTextParquet(named, cache=str(tmp_path / "c")), 0).endswith("is missing")


def test_bad_parquet_cells_make_only_their_own_row_bad(tmp_path):
    import pyarrow as pa

    broken = pa.array([b"good", b"\xff\xfe", None, b" "]).cast(pa.binary())
    text = pa.Array.from_buffers(pa.string(), 4, broken.buffers())
    image = [*cells(3), None]
    path = write_parquet(tmp_path / "a.parquet", image, caption=text)
    source = ImageTextParquet(path, cache=str(tmp_path))
    assert drawn(source, 0).captions == ["good"]
    assert reason(source, 1) == "caption: not UTF-8 at byte 0"
    assert reason(source, 2) == "caption: null"
    assert reason(source, 3) == "no image"


def test_wrong_columns_and_files_are_named(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [1, 2], caption=["a", "b"], n=[1, 2])
    cache = str(tmp_path)
    for options, message in (
        ({"image": "photo"}, r"a\.parquet has no column 'photo'; it has image, caption, n"),
        ({"where": {"split": "x"}}, r"no column 'split'"),
        ({}, r"a\.parquet: column 'image' holds int64, not images"),
    ):
        with pytest.raises(ValueError, match=message):
            len(ImageTextParquet(path, cache=cache, **options))
    good = write_parquet(tmp_path / "b.parquet", cells(2), caption=["a", "b"], n=[1, 2])
    with pytest.raises(ValueError, match=r"b\.parquet: column 'n' holds int64, not texts"):
        len(ImageTextParquet(good, caption="n", cache=cache))
    (tmp_path / "c.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"c\.parquet cannot be read as Parquet"):
        len(ImageTextParquet(str(tmp_path / "c.parquet"), cache=cache))
    with pytest.raises(FileNotFoundError, match=r"d\.parquet does not exist"):
        len(ImageTextParquet(str(tmp_path / "d.parquet"), cache=cache))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif("TRAINER_DATA" not in os.environ, reason="TRAINER_DATA is not set")
def test_the_emoji_have_their_splits_and_sizes(tmp_path):
    path = Path(os.environ["TRAINER_DATA"], "emoji", "emoji32.parquet")
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    sizes = {"train": 3101, "val": 136, "test": 166}
    for split, size in sizes.items():
        source = ImageTextParquet(str(path), where={"split": split}, cache=str(tmp_path))
        assert len(source) == size
        pairs = [drawn(source, index) for index in range(0, size, 40)]
        assert all(square(pair.image, 32).shape == (32, 32, 3) for pair in pairs)
        assert all(len(pair.captions) == 1 for pair in pairs)


def test_the_first_rows_alone_are_other_data_from_the_same_cache(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", cells(), caption=captions())
    few, whole = (ImageTextParquet(path, num=n, cache=str(tmp_path / "c")) for n in (3, None))
    assert (len(few), len(whole)) == (3, NUM)
    assert few.fingerprint() != whole.fingerprint()
    assert len(list((tmp_path / "c").iterdir())) == 1
    assert len(ImageTextParquet(path, num=99, cache=str(tmp_path / "c"))) == NUM
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        ImageTextParquet(path, num=0)


def test_skipped_and_first_rows_together_are_all_rows(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", cells(), caption=captions())
    options = {"path": path, "cache": str(tmp_path / "c")}
    first, rest = ImageTextParquet(num=7, **options), ImageTextParquet(skip=7, **options)
    whole = ImageTextParquet(**options)
    assert (len(first), len(rest)) == (7, NUM - 7)
    parts = [(source, n) for source in (first, rest) for n in range(len(source))]
    for index, (source, n) in enumerate(parts):
        assert source.location(n) == whole.location(index)
        assert drawn(source, n) == drawn(whole, index)
    assert len({source.fingerprint() for source in (first, rest, whole)}) == 3
    with pytest.raises(ValueError, match=f"has {NUM} such rows, but skip is 99"):
        len(ImageTextParquet(skip=99, **options))
    with pytest.raises(ValueError, match="skip must be at least 0, got -1"):
        ImageTextParquet(path, skip=-1)
