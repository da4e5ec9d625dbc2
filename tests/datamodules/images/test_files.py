import json
import os
import pickle
from pathlib import Path
from random import Random

import numpy as np
import pytest

from datamodules.images.files import ImageFiles, ImageTextFolder, ImageTextHub
from datamodules.images.interleaved import InterleavedJsonl
from datamodules.images.parquet import ImageTextParquet
from datamodules.images.preprocess import square
from datamodules.images.source import ImageSource, Pair, Segment
from datamodules.images.tar import ImageTextTar
from datamodules.records.errors import BadSampleError
from datamodules.synthetic.shapes.captions import parse
from datamodules.synthetic.shapes.render import render
from datamodules.synthetic.shapes.scenes import scene
from datamodules.synthetic.shapes.source import ShapePairs
from tests.fixtures.images import NUM, caption, encoded, pixels, write_folder, write_tar


def write_parquet(path: Path, image: list[object], **columns: list[object]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": image, **columns}), path, row_group_size=5)
    return str(path)


def cells(num: int = NUM) -> list[object]:
    return [{"bytes": encoded(i), "path": f"{i}.png"} for i in range(num)]


def captions(num: int = NUM) -> list[object]:
    return [caption(i) for i in range(num)]


def make(kind: str, folder: Path) -> ImageSource:
    """The same twelve pairs in every form."""
    cache = str(folder / "cache")
    if kind == "folder":
        return ImageTextFolder(write_folder(folder))
    if kind == "tar":
        rows = [(i, (f"a/{i}.PNG", f"a/{i}.txt")) for i in range(NUM)]
        members = [
            (name, content)
            for i, names in rows
            for name, content in zip(names, (encoded(i), caption(i).encode()), strict=True)
        ]
        write_tar(folder / "0.tar", members[:10])
        write_tar(folder / "1.tar", members[10:])
        return ImageTextTar(str(folder), cache=cache)
    path = write_parquet(folder / "a.parquet", cells(), caption=captions())
    return ImageTextParquet(path, cache=cache) if kind == "parquet" else ImageTextHub(str(folder))


@pytest.fixture
def no_hub_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")


def drawn(source: ImageSource, index: int, seed: int = 0) -> Pair:
    sample = source.sample(index, Random(seed))
    assert isinstance(sample, Pair)
    return sample


def reason(source: ImageSource, index: int) -> str:
    with pytest.raises(BadSampleError) as error:
        source.sample(index, Random(0))
    return str(error.value)


@pytest.mark.usefixtures("no_hub_cache")
@pytest.mark.parametrize("kind", ["folder", "tar", "parquet", "hub"])
def test_every_form_gives_the_same_pairs_in_any_order(tmp_path, kind):
    source = make(kind, tmp_path)
    source.prepare()
    again = pickle.loads(pickle.dumps(source)) if kind != "hub" else source
    assert len(source) == len(again) == NUM
    for index in (7, 0, 11, 3):
        pair = drawn(again, index)
        assert np.array_equal(square(pair.image, 8), pixels(index))
        assert pair.captions == [caption(index)]
    assert len({source.location(i) for i in range(NUM)}) == NUM
    assert source.fingerprint() == again.fingerprint()


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_a_fingerprint_changes_with_the_files(tmp_path, kind):
    source = make(kind, tmp_path)
    before = source.fingerprint()
    [first, *_] = source.files()
    os.utime(first, ns=(1, 1))
    assert source.fingerprint() != before


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


def test_bad_lines_of_a_folder_say_why(tmp_path):
    lines = [
        b'{"file_name": "no.png", "text": "a"}',
        b'{"file_name": "0.png", "text": "\xff"}',
        b'{"file_name": "0.png"}',
        b'{"text": "a"}',
        b"[1]",
        b"{",
    ]
    source = ImageTextFolder(write_folder(tmp_path, lines, num=1))
    assert [reason(source, i).removeprefix(f"{tmp_path}/") for i in range(1, 7)] == [
        "no.png is missing",
        "not UTF-8 at byte 32",
        "caption: null",
        "no file name under 'file_name'",
        "not a JSON object",
        "broken JSON",
    ]
    assert source.location(3) == f"{tmp_path}/metadata.jsonl:4"


def test_tars_pair_members_by_stem_and_read_captions_from_json(tmp_path):
    both = json.dumps({"caption": "from json", "n": 1}).encode()
    members = [
        ("b.json", both),
        ("b.jpg", encoded(1, kind="JPEG")),
        ("c.txt", b"from txt"),
        ("c.json", both),
        ("c.webp", encoded(2, kind="WEBP")),
        ("d.png", encoded(3)),
        ("e.txt", b"alone"),
        ("f.cls", b"7"),
        ("g.png", encoded(4)),
        ("g.json", b'{"n": 1}'),
        ("h.txt", b"\xff"),
        ("h.png", encoded(5)),
    ]
    path = write_tar(tmp_path / "a.tar", members)
    source = ImageTextTar(path, cache=str(tmp_path))
    assert [source.location(i) for i in range(6)] == [f"{path}:{name}" for name in "bcdegh"]
    assert drawn(source, 0).captions == ["from json"]
    assert drawn(source, 1).captions == ["from txt"]
    assert [reason(source, i) for i in range(2, 6)] == [
        "no caption (txt, json)",
        "no image (jpg, jpeg, png, webp)",
        "caption: no 'caption'",
        "caption: not UTF-8 at byte 0",
    ]


def test_a_cut_tar_gives_what_it_has(tmp_path):
    members = [(f"{i}{s}", c) for i in range(5) for s, c in ((".txt", b"a"), (".png", encoded(i)))]
    path = Path(write_tar(tmp_path / "a.tar", members))
    whole = path.read_bytes()
    for broken in (whole[:5500], whole[:5800], whole[:5120] + b"x" * 512 + whole[5632:]):
        path.write_bytes(broken)  # cut in a header, cut in a member, a broken header
        source = ImageTextTar(str(path), cache=str(tmp_path / str(len(broken))))
        with pytest.warns(UserWarning, match=r"a\.tar ends after [56] members"):
            source.prepare()
        assert len(source) == 3
        assert np.array_equal(square(drawn(source, 1).image, 8), pixels(1))
        assert reason(source, 2).startswith(("no image", "the tar ends"))
    (tmp_path / "b.tar").write_bytes(b"\x1f\x8b not a tar at all")
    with pytest.raises(ValueError, match=r"b\.tar cannot be read as an uncompressed tar"):
        len(ImageTextTar(str(tmp_path / "b.tar"), cache=str(tmp_path)))


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


def test_interleaved_documents_keep_their_order(tmp_path):
    write_folder(tmp_path, num=2)
    (tmp_path / "metadata.jsonl").unlink()
    segments = [{"text": "turn it red"}, {"image": "0.png"}, {"generate": "1.png"}]
    bad: list[object] = [
        {"segments": []},
        {"segments": [{"text": ""}]},
        {"segments": [{"text": "a", "image": "b"}]},
        {"segments": [{"video": "a"}]},
        {"segments": [{"image": "9.png"}]},
        {"n": 1},
    ]
    lines = [json.dumps(line) for line in [{"segments": segments}, *bad]]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = InterleavedJsonl(str(tmp_path / "a.jsonl"))
    sample = source.sample(0, Random(0))
    assert sample == [
        "turn it red",
        Segment(encoded(0), is_target=False),
        Segment(encoded(1), is_target=True),
    ]
    expected = ["no list", "text: empty", "one key", "one key", "9.png is missing", "no list"]
    for index, text in enumerate(expected, start=1):
        assert text in reason(source, index)


def test_shapes_are_images_with_true_captions():
    source = ShapePairs(50, seed=4, part="held_out", num_shapes=2)
    for index in (0, 49, 7):
        shown = scene(4, index, "held_out", 2)
        pair = drawn(source, index)
        assert np.array_equal(pair.image, render(shown))
        assert {*parse(pair.captions[0])} == {*shown.shapes}
    wordings = {drawn(source, 0, seed).captions[0] for seed in range(20)}
    assert len(wordings) > 5
    assert source.name == "shapes:held_out:50:4:2"
    assert source.fingerprint() != ShapePairs(50, seed=4).fingerprint()
    with pytest.raises(ValueError, match="num must be at least 1, got 0"):
        ShapePairs(0)


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


def test_images_may_have_no_captions(tmp_path):
    folder = tmp_path / "files"
    write_folder(folder)
    (folder / "notes.txt").write_text("no image")
    table = write_parquet(tmp_path / "a.parquet", cells(), n=list(range(NUM)))
    tar = write_tar(tmp_path / "a.tar", [(f"{i:02}.png", encoded(i)) for i in range(NUM)])
    sources = [
        ImageFiles(str(folder)),
        ImageTextParquet(table, caption=None, cache=str(tmp_path / "c")),
        ImageTextTar(tar, caption=None, cache=str(tmp_path / "c")),
    ]
    for source in sources:
        source.prepare()
        assert len(source) == NUM
        assert drawn(source, 1).captions == [""]
    assert sources[0].location(1) == str(folder / "1.png")
    with pytest.raises(FileNotFoundError, match=r"holds no file .*gif"):
        len(ImageFiles(str(folder), ("gif",)))


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
