"""The newest sound checkpoint below a folder, and what is passed over."""

import errno
import os
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from engine.checkpoint.io import newest
from engine.checkpoint.manifest import manifest, verify
from tests.fixtures.checkpoints import IO, saved


def test_the_newest_sound_checkpoint_is_found(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="no checkpoint below"):
        newest(tmp_path)
    for number in range(3):
        path = tmp_path / str(number) / "checkpoints" / "step.ckpt"
        IO.save_checkpoint({"state_dict": {}, "a": number}, path)
        os.utime(path, (number, number))
    assert newest(tmp_path).parent.parent.name == "2"
    (tmp_path / "2" / "checkpoints" / "step.ckpt").write_bytes(b"damaged")
    assert newest(tmp_path).parent.parent.name == "1"
    assert "passed over: " in capsys.readouterr().out


def test_runs_and_steps_decide_which_is_newest_whatever_the_clock_says(tmp_path):
    paths = [saved(tmp_path, *place) for place in ((2, 5), (9, 7), (10, 3), (10, 6))]
    for number, path in enumerate(paths):
        os.utime(path, (100 - number, 100 - number))
    assert newest(tmp_path) == paths[3]
    paths[3].unlink()
    assert newest(tmp_path) == paths[2]
    other = paths[2].with_name("best.ckpt")  # its step is only inside the file
    IO.save_checkpoint({"global_step": 4, "state_dict": {}}, other)
    os.utime(other, (1, 1))
    assert newest(tmp_path) == other


MANIFESTS = ["[]", "[{}]", "{}", "null", "5", '"x"', "[[]]", '[{"sha256": 1}]', "{", "[" * 9999]


@pytest.mark.parametrize("content", [*map(str.encode, MANIFESTS), b"", b"\xff\xfe\x00", None])
def test_an_odd_manifest_is_refused_by_name_and_passed_over(tmp_path, content, capsys):
    older, path = saved(tmp_path, 0, 1), saved(tmp_path, 0, 2)
    manifest(path).unlink()
    if content is None:
        manifest(path).mkdir()
    else:
        manifest(path).write_bytes(content)
    with pytest.raises((ValueError, OSError), match=r"step_0000002\.ckpt\.json"):
        verify(path)
    assert newest(tmp_path) == older
    assert f"passed over: {manifest(path)}" in capsys.readouterr().out.replace(f"{path}: ", "")
    if content is not None:
        saved(tmp_path, 0, 2)  # the next save at that path is valid again
        assert newest(tmp_path) == path


def test_links_that_lead_nowhere_are_named_and_do_not_stop_the_search(tmp_path, capsys):
    first, second = saved(tmp_path, 0, 4), saved(tmp_path, 1, 4)
    (second.parent / "last.ckpt").symlink_to(second.name)
    second.unlink()
    assert newest(tmp_path) == first
    message = (
        f"passed over: no checkpoint {second.parent}/last.ckpt: the link leads to {second.name}"
    )
    assert message in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"the link leads to step_0000004\.ckpt"):
        verify(second.parent / "last.ckpt")


@pytest.mark.parametrize("target", ["step_0000009.ckpt", "elsewhere.ckpt", "last.ckpt"])
def test_of_a_run_whose_newest_is_gone_the_lost_link_is_named(tmp_path, target, capsys):
    path = saved(tmp_path, 0, 4)
    (path.parent / "last.ckpt").symlink_to(target)
    assert newest(tmp_path) == path
    assert f"last.ckpt: the link leads to {target}" in capsys.readouterr().out


def test_a_link_to_an_older_file_that_is_gone_is_no_news(tmp_path, capsys):
    """Killed between the removal of the old file and the new link, where one file is kept."""
    path = saved(tmp_path, 0, 4)
    (path.parent / "last.ckpt").symlink_to("step_0000002.ckpt")
    assert newest(tmp_path) == path
    assert "passed over" not in capsys.readouterr().out


def test_a_link_to_a_file_on_another_disk_is_a_checkpoint(tmp_path):
    path, elsewhere = saved(tmp_path, 0, 4), saved(tmp_path / "elsewhere", 0, 8)
    link = path.with_name(elsewhere.name)
    link.symlink_to(elsewhere)
    assert newest(tmp_path) == link


def test_an_empty_folder_is_no_model(tmp_path, capsys):
    path = saved(tmp_path, 0, 4, hyper_parameters={"network": NETWORK})
    path.with_name("step_0000009.ckpt").mkdir()
    assert newest(tmp_path, NETWORK) == path
    output = capsys.readouterr().out
    assert "step_0000009.ckpt is a folder without a checkpoint: it has no .metadata" in output
    assert "another model" not in output


def test_a_folder_of_shards_is_compared_by_its_shapes(tmp_path, capsys):
    def sharded(step, width):
        path = tmp_path / "0" / "checkpoints" / f"step_{step:07d}.ckpt"
        dcp.save({"state_dict": {"w": torch.ones(width)}}, checkpoint_id=path, no_dist=True)
        said = {"global_step": step, "hyper_parameters": {"network": other(width=width)}}
        torch.save(said, path / "meta.pt")
        return path

    saved(tmp_path, 0, 1, hyper_parameters={"network": other(width=3)})
    same, wider = sharded(2, 3), sharded(3, 5)
    assert newest(tmp_path, other(width=3)) == same
    assert f"{wider} is another model" in capsys.readouterr().out
    assert newest(tmp_path, other(width=5)) == wider


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch, capsys):
    path, denied = saved(tmp_path, 0, 4), saved(tmp_path, 1, 4).parent
    listed = Path.iterdir

    def iterdir(folder):
        if folder == denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert newest(tmp_path) == path
    assert f"passed over: {denied}: Permission denied" in capsys.readouterr().out


def test_what_cannot_be_read_is_passed_over_with_its_reason(tmp_path, monkeypatch, capsys):
    older, path = saved(tmp_path, 0, 1), saved(tmp_path, 0, 2)

    def denied(file):
        if Path(file) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return "0"

    monkeypatch.setattr("engine.checkpoint.manifest.digest", denied)
    monkeypatch.setattr(
        "engine.checkpoint.manifest.entries", lambda p: [{"sha256": "0", "bytes": size(p)}]
    )
    assert newest(tmp_path) == older
    assert f"passed over: {path}: Permission denied" in capsys.readouterr().out


def size(path: Path) -> int:
    return path.stat().st_size


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_without_a_manifest_it_is_said_and_a_flipped_byte_still_found(tmp_path, place, capsys):
    older = saved(tmp_path, 0, 1)
    path = saved(tmp_path, 0, 2, state_dict={"w": torch.ones(5000)})
    manifest(path).unlink()
    verify(path)
    assert f"{path} has no {path.name}.json beside it" in capsys.readouterr().out
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="was damaged: the checksum of its part"):
        verify(path)
    assert newest(tmp_path) == older
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match="is no whole checkpoint"):
        verify(path)


NETWORK = {"class_path": "N", "init_args": {"width": 32, "chunk": None}}


def other(**options):
    return {"class_path": "N", "init_args": {**NETWORK["init_args"], **options}}


def test_another_model_of_the_same_name_is_passed_over_but_other_options_are_not(tmp_path, capsys):
    def state(width, network):
        return {"state_dict": {"w": torch.ones(width)}, "hyper_parameters": {"network": network}}

    first = saved(tmp_path, 0, 9, **state(32, NETWORK))
    chunked = saved(tmp_path, 1, 9, **state(32, other(chunk=8)))
    narrow = saved(tmp_path, 2, 9, **state(16, other(width=16)))
    assert newest(tmp_path, NETWORK) == chunked
    assert f"passed over: {narrow} is another model than {first}" in capsys.readouterr().out
    assert newest(tmp_path, other(chunk=4)) == chunked
    assert newest(tmp_path, other(width=16)) == narrow
    assert newest(tmp_path) == narrow
