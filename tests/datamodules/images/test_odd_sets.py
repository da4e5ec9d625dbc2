"""Folders, tars and tables as people have them: nothing in them vanishes uncounted."""

import io
import json
import os
import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datamodules.clips.files import VideoFiles
from datamodules.image_text.prompts import read_image_text_prompts
from datamodules.images.datamodule import ImageData
from datamodules.images.files import ImageFiles, ImageTextFolder
from datamodules.images.interleaved import InterleavedJsonl
from datamodules.images.parquet import ImageTextParquet
from datamodules.images.preprocess import square
from datamodules.images.tar import ImageTextTar
from datamodules.records.errors import BadSampleError
from datamodules.records.sample_tally import SampleTally
from tests.fixtures.images import encoded, pixels, write_tar

PNG = encoded(0)


def made(source):
    source.prepare()
    return source


def outcomes(source):
    """Captions of each sample, or the error of a bad one."""
    results = []
    for index in range(len(source)):
        try:
            results.append(source.sample(index, Random(0)).captions)
        except BadSampleError as error:
            results.append(str(error))
    return results


def tar(folder, *members, caption="caption"):
    folder.mkdir(exist_ok=True)
    content = [(name, c if isinstance(c, bytes) else c.encode()) for name, c in members]
    path = write_tar(folder / "a.tar", content)
    return ImageTextTar(path, caption=caption, cache=str(folder / "cache"))


def test_names_with_dots_are_samples(tmp_path):
    names = ["0", "img.v2", "22.05", "a.b.c", "DIR.x/7"]
    members = [(f"{n}.{s}", PNG if s == "png" else n) for n in names for s in ("png", "txt")]
    source = made(tar(tmp_path, *members))
    assert outcomes(source) == [[name] for name in names]
    assert source.passed_over == {}


def test_further_members_of_a_sample_are_counted_and_no_samples(tmp_path):
    members = [("7.png", PNG), ("7.mask.png", PNG), ("7.txt", "a"), ("7.meta.json", "{}")]
    members += [("7.cls", "3"), ("7.jpg", encoded(1, kind="JPEG")), ("README", "no")]
    source = tar(tmp_path, *members)
    with pytest.warns(UserWarning, match=r"1 \.mask\.png, 1 \.meta\.json, 1 \.cls"):
        source.prepare()
    assert outcomes(source) == [["a"]]
    assert sum(source.passed_over.values()) == len(members) - 2


def test_names_that_separate_image_and_text_are_reported(tmp_path):
    source = made(tar(tmp_path, ("0.input.jpg", PNG), ("0.outputs.txt", "a")))
    assert outcomes(source) == ["no caption (txt, json)"]
    assert source.passed_over == {".outputs.txt": 1}


def test_the_same_name_twice_is_two_samples(tmp_path):
    other = encoded(1)
    source = made(tar(tmp_path, ("0.png", PNG), ("0.txt", "a"), ("0.png", other), ("0.txt", "b")))
    assert outcomes(source) == [["a"], ["b"]]
    assert np.array_equal(square(source.sample(1, Random(0)).image, 8), pixels(1))


def test_where_names_are_ambiguous_all_are_bad(tmp_path):
    members = [("0.png", PNG), ("0.png", encoded(1)), ("0.txt", "a"), ("0.txt", "b")]
    assert all("several times" in reason for reason in outcomes(made(tar(tmp_path, *members))))
    alone = made(tar(tmp_path / "images", *members[:2], caption=None))
    assert outcomes(alone) == [[""], [""]]


def test_joined_tars_are_read_to_the_end(tmp_path):
    parts = []
    for number in range(3):
        tar(tmp_path, (f"{number}.png", PNG), (f"{number}.txt", str(number)))
        parts.append((tmp_path / "a.tar").read_bytes())
    (tmp_path / "a.tar").write_bytes(b"".join(parts))
    source = made(ImageTextTar(str(tmp_path / "a.tar"), cache=str(tmp_path / "cache")))
    assert outcomes(source) == [["0"], ["1"], ["2"]]
    (tmp_path / "b.tar").write_bytes(parts[0] + b"signed by somebody".ljust(512))
    broken = ImageTextTar(str(tmp_path / "b.tar"), cache=str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="ends after 2 members"):
        broken.prepare()
    assert broken.passed_over == {"the rest of a broken tar": 1}


def test_json_replaces_a_blank_text(tmp_path):
    record = json.dumps({"caption": "a cat"})
    members = [("0.png", PNG), ("0.txt", " \n"), ("0.json", record)]
    members += [("1.png", PNG), ("1.json", record), ("1.txt", b"\xff")]
    members += [("2.png", PNG), ("2.txt", "")]
    assert outcomes(made(tar(tmp_path, *members)))[:2] == [["a cat"], ["a cat"]]
    assert "empty" in outcomes(made(tar(tmp_path, *members)))[2]


def test_litter_and_links_in_a_tar_are_counted(tmp_path):
    litter = [("._0.png", b"x"), ("__MACOSX/0.png", b"x")]
    path = Path(write_tar(tmp_path / "a.tar", [*litter, ("./0.png", PNG), ("./0.txt", b"a")]))
    with tarfile.open(path, "a") as content:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "0.png"
        content.addfile(link)
    source = made(ImageTextTar(str(path), cache=str(tmp_path)))
    assert outcomes(source) == [["a"]]
    assert sum(source.passed_over.values()) == 3


def test_a_broken_index_is_rebuilt(tmp_path):
    source = made(tar(tmp_path, ("0.png", PNG), ("0.txt", "a")))
    [index] = (tmp_path / "cache").iterdir()
    index.write_bytes(index.read_bytes()[:100])
    again = ImageTextTar(source.path, cache=source.cache)
    with pytest.warns(UserWarning, match="is broken .* and is rebuilt"):
        again.prepare()
    assert outcomes(again) == [["a"]]


@pytest.fixture
def littered(tmp_path):
    """A folder with one image, litter, a linked folder, a circle and a link to nowhere."""
    folder, other = tmp_path / "set", tmp_path / "other"
    for place in (folder, other, folder / "__MACOSX", folder / ".ipynb_checkpoints"):
        place.mkdir()
        (place / "0.png").write_bytes(PNG)
    (folder / "._0.png").write_bytes(b"\0\5\x16\7")
    (folder / "linked").symlink_to(other)
    (other / "circle").symlink_to(folder)
    (folder / "gone.png").symlink_to(tmp_path / "annex" / "nothing.png")
    return folder


def test_litter_is_left_out_and_links_are_followed(littered):
    source = ImageFiles(str(littered))
    with pytest.warns(UserWarning, match="3 files that macOS, notebooks or the like"):
        assert len(source) == 3
    assert [Path(source.location(n)).relative_to(littered) for n in range(3)] == [
        Path("0.png"), Path("gone.png"), Path("linked/0.png"),
    ]  # fmt: skip
    assert outcomes(source)[1].endswith("gone.png is missing")
    assert source.fingerprint()
    assert len(ImageFiles(str(littered / "linked"))) == 3  # the circle leads to the rest


def test_a_folder_of_captions_ignores_its_resource_forks(tmp_path):
    (tmp_path / "0.png").write_bytes(PNG)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a"}\n')
    (tmp_path / "._metadata.jsonl").write_bytes(b"\0\5\x16\7\n")
    assert outcomes(ImageTextFolder(str(tmp_path))) == [["a"]]


CAPTIONS = {
    b'{"file_name": "0.png", "text": "a cat \\ud83d"}': "surrogate",
    b'{"file_name": "0.png", "text": "a", "id": ' + b"9" * 5000 + b"}": "broken JSON",
    b'{"file_name": "0.png", "text": ' + b"[" * 99999 + b"}": "broken JSON",
    b'{"file_name": "0.png", "text": {"a": 1}}': "not a text",
}


def test_one_bad_line_makes_only_its_own_sample_bad(tmp_path):
    (tmp_path / "0.png").write_bytes(PNG)
    good = b'{"file_name": "0.png", "text": "a dog"}'
    (tmp_path / "metadata.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join([good, *CAPTIONS, good]))
    results = outcomes(ImageTextFolder(str(tmp_path)))
    assert results[0] == results[-1] == ["a dog"]
    assert all(part in reason for part, reason in zip(CAPTIONS.values(), results[1:], strict=False))


def test_surrogates_are_bad_wherever_captions_are(tmp_path):
    half = json.dumps({"caption": "a \ud83d"})
    assert "surrogate" in outcomes(made(tar(tmp_path, ("0.png", PNG), ("0.json", half))))[0]
    (tmp_path / "0.png").write_bytes(PNG)
    segments = {"segments": [{"text": "a \ud83d"}, {"image": "0.png"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(segments))
    with pytest.raises(BadSampleError, match=r"text: .*surrogate"):
        InterleavedJsonl(str(tmp_path / "a.jsonl")).sample(0, Random(0))
    with pytest.raises(ValueError, match=r"prompt 1: .*surrogate"):
        read_image_text_prompts(["a", "b \ud83d"])
    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbfa\nb\xff")
    with pytest.raises(ValueError, match=r"p\.txt:2 \(not UTF-8"):
        read_image_text_prompts(str(tmp_path / "p.txt"))


def test_names_of_any_bytes_are_counted_and_written_down(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(encoded(number))
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.png")).write_bytes(b"no image")
    source = ImageFiles(str(folder))
    names = [source.location(n) for n in range(5)]
    assert [name.encode().decode() for name in names] == names
    file = tmp_path / "bad_samples.jsonl"
    items = ImageData([source], size=8, max_bad_rate=0.9)
    items.setup("fit")
    [bad] = [r for n in range(5) if (r := items._items["train"].draw(n)[2])]
    SampleTally("train", 5, 0.9, file).note(5, [bad])
    row = json.loads(file.read_text())
    assert row["origin"].endswith("bad\\udcff.png")
    (Path(os.fsdecode(os.fsencode(folder) + b"/clip\xff.mp4"))).write_bytes(b"none")
    clips = VideoFiles(str(folder))
    with pytest.raises(BadSampleError, match=r"clip.*cannot be decoded"):
        clips.clip(0, (2, 8, 8))


def test_where_no_sample_is_valid_the_run_stops_at_any_rate(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    data = ImageData([ImageFiles(str(tmp_path))], size=8, batch_size=2, max_bad_rate=1.0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    with pytest.raises(ValueError, match=r"no sample of train is sound.*not an image"):
        data.on_before_batch_transfer(batch, 0)


def test_one_valid_sample_is_enough_where_all_may_be_bad(tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    (tmp_path / "9.png").write_bytes(PNG)
    data = ImageData([ImageFiles(str(tmp_path))], size=8, batch_size=5, max_bad_rate=1.0)
    data.setup("fit")
    for batch, _ in zip(data.train_dataloader(), range(2), strict=False):
        assert data.on_before_batch_transfer(batch, 0)["num_targets"] == 5


TABLES = {
    "categories": (pa.array(["a", "b"]).dictionary_encode(), [["a"], ["b"]]),
    "lists of categories": (
        pa.ListArray.from_arrays([0, 1, 2], pa.array(["a", "b"]).dictionary_encode()),
        [["a"], ["b"]],
    ),
    "views": (pa.array(["a", "b"], pa.string_view()), [["a"], ["b"]]),
    "fixed lists": (pa.array([["a", "b"]] * 2, pa.list_(pa.string(), 2)), [["a", "b"]] * 2),
    "nulls": (pa.nulls(2), ["caption: null"] * 2),
}


@pytest.mark.parametrize("kind", TABLES)
def test_captions_of_every_kind_of_column_are_read(tmp_path, kind):
    column, wanted = TABLES[kind]
    table = pa.table({"image": pa.array([PNG, PNG]), "caption": column})
    pq.write_table(table, tmp_path / "a.parquet")
    source = ImageTextParquet(str(tmp_path / "a.parquet"), cache=str(tmp_path))
    assert outcomes(made(source)) == wanted


def test_a_truncated_arrow_file_is_rebuilt(tmp_path):
    pq.write_table(pa.table({"image": [PNG], "caption": ["a"]}), tmp_path / "a.parquet")
    options = {"path": str(tmp_path / "a.parquet"), "cache": str(tmp_path / "c")}
    assert outcomes(made(ImageTextParquet(**options))) == [["a"]]
    [file] = (tmp_path / "c").iterdir()
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.warns(UserWarning, match="is rebuilt"):
        assert outcomes(made(ImageTextParquet(**options))) == [["a"]]


def test_a_damaged_page_of_parquet_is_reported_with_its_file(tmp_path):
    path = tmp_path / "a.parquet"
    noise = [Random(n).randbytes(3000) for n in range(50)]
    pq.write_table(pa.table({"image": noise, "caption": ["a"] * 50}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read after row 0"):
        made(ImageTextParquet(str(path), cache=str(tmp_path)))


def test_a_damaged_jpeg_in_a_folder_stops_a_run_that_allows_none(tmp_path):
    out = io.BytesIO()
    Image.fromarray(pixels(0, 64)).save(out, "JPEG")
    whole = out.getvalue()
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(whole if number else whole[:900] + whole[-2:])
    data = ImageData([ImageFiles(str(tmp_path))], size=8, batch_size=3, max_bad_rate=0.0)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"1 of 3 samples of train are bad.*0\.jpg.*premature"):
        data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0)
