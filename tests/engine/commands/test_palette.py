import numpy as np
import pytest

from engine.commands.palette import train_palette

COLOURS = np.array([[0, 0, 0], [250, 10, 10], [10, 250, 10], [10, 10, 250]])


def images(num=20):
    """Four colours, a little blurred."""
    rng = np.random.default_rng(0)
    for _ in range(num):
        which = rng.integers(0, 4, (16, 16))
        noise = rng.integers(-9, 10, (16, 16, 3))
        yield np.clip(COLOURS[which] + noise, 0, 255).astype(np.uint8)


def test_the_colours_are_the_centres_of_the_clusters(tmp_path):
    summary = train_palette(images(), 4, tmp_path)
    assert summary.startswith("4 colours from 20 images")
    palette = np.load(tmp_path / "palette.npy")
    assert palette.dtype == np.uint8
    wanted = [[4, 4, 4], [250, 10, 10], [10, 250, 10], [10, 10, 250]]
    assert np.abs(np.sort(palette, 0).astype(int) - np.sort(wanted, 0)).max() <= 2


def test_the_same_seed_finds_the_same_colours(tmp_path):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_palette(images(), 32, tmp_path / name, seed)
        files.append((tmp_path / name / "palette.npy").read_bytes())
    assert files[0] == files[1] != files[2]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["palette.npy"]


def test_grey_too_few_or_no_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="channels to 3"):
        train_palette(iter([np.zeros((4, 4), np.uint8)]), 4, tmp_path)
    with pytest.raises(ValueError, match="fewer than num_colours=4"):
        train_palette(iter([np.zeros((4, 4, 3), np.uint8)]), 4, tmp_path)
    with pytest.raises(ValueError, match="no images"):
        train_palette(iter([]), 4, tmp_path)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        train_palette(images(), 1, tmp_path)
    assert not list(tmp_path.iterdir())
