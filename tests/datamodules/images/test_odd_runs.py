"""Whole runs over images and clips as people have them, by the command line."""

import json
import os
from pathlib import Path

import pytest

from cli import main
from tests.fixtures.images import encoded, write_tar
from tests.fixtures.odd_images import ODD_TAGS, exif, file, holes, photo, with_segment

CONFIG = str(Path(__file__).parents[3] / "configs" / "vq" / "digits.yaml")


def fit(folder, runs, rate, source="images.files.ImageFiles"):
    """Four steps of a VQ-VAE, in which every image is drawn."""
    sources = json.dumps(
        [{"class_path": f"datamodules.{source}", "init_args": {"path": str(folder)}}]
    )
    data = {"train": sources, "validate": "[]", "test": "[]", "size": 16, "batch_size": 4}
    data["max_bad_rate"] = rate
    trainer = {"max_steps": 4, "accelerator": "cpu", "devices": 1, "callbacks": "[]"}
    trainer["logger.init_args.root"] = runs
    flags = [f"--data.init_args.{name}={value}" for name, value in data.items()]
    flags += [f"--trainer.{name}={value}" for name, value in trainer.items()]
    main(["fit", "--config", CONFIG, *flags])


@pytest.fixture
def images(tmp_path):
    """Odd but sound ones, and one with a hole whose name is not UTF-8."""
    folder = tmp_path / "images"
    folder.mkdir()
    sound = file(photo())
    for name, tag in ODD_TAGS.items():
        odd = with_segment(sound, 0xE1, b"Exif\0\0" + exif(6, *tag))
        (folder / f"{name.replace('/', '_')}.jpg").write_bytes(odd)
    (folder / "no end.jpg").write_bytes(sound[:-2])
    name = os.fsdecode(os.fsencode(folder) + b"/hole\xff.jpg")
    Path(name).write_bytes(holes(sound)["cut and closed"])
    return folder


@pytest.mark.slow
def test_odd_images_are_trained_on_and_a_hole_is_listed_with_its_name(tmp_path, images):
    fit(images, tmp_path / "runs", 0.5)
    [listed] = tmp_path.rglob("bad_samples.jsonl")
    [row] = {json.loads(line)["origin"]: json.loads(line) for line in listed.open()}.values()
    assert row["origin"].endswith("hole\\udcff.jpg")
    assert "premature end" in row["reason"]


@pytest.mark.slow
def test_a_hole_ends_a_run_that_allows_none_with_one_line(tmp_path, images, capfd):
    with pytest.raises(SystemExit) as ended:
        fit(images, tmp_path / "runs", 0.0)
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert "premature end" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_members_of_no_sample_are_reported(tmp_path, capfd):
    members = [("0.input.jpg", encoded(0)), ("0.outputs.txt", b"a")]
    path = write_tar(tmp_path / "a.tar", [*members, ("1.png", encoded(1)), ("1.txt", b"b")])
    with pytest.raises(SystemExit) as ended:
        fit(path, tmp_path / "runs", 0.0, "images.tar.ImageTextTar")
    assert ended.value.code == 2
    assert "no caption" in capfd.readouterr().err
