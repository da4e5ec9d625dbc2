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
from datamodules.images.source import ImageSource, Segment
from datamodules.images.tar import ImageTextTar
from datamodules.synthetic.shapes.captions import parse
from datamodules.synthetic.shapes.render import render
from datamodules.synthetic.shapes.scenes import scene
from datamodules.synthetic.shapes.source import ShapePairs
from tests.fixtures.image_sources import captions, cells, drawn, reason, write_parquet
from tests.fixtures.images import NUM, caption, encoded, pixels, write_folder, write_tar


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
