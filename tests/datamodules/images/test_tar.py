"""Images and captions in tar files: members paired by stem, and files cut short."""

import json
from pathlib import Path

import numpy as np
import pytest

from datamodules.images.preprocess import square
from datamodules.images.tar import ImageTextTar
from tests.fixtures.image_sources import drawn, reason
from tests.fixtures.images import encoded, pixels, write_tar


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
