import errno
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from engine.checkpoint.io import SafeCheckpointIO, newest, remove_leftovers
from engine.checkpoint.manifest import manifest, verify, write_manifest
from engine.disk.whole import LOCK, whole

IO = SafeCheckpointIO()


def test_what_is_saved_comes_back(tmp_path):
    IO.save_checkpoint({"a": torch.arange(5)}, tmp_path / "x" / "a.ckpt")
    assert IO.load_checkpoint(tmp_path / "x" / "a.ckpt")["a"].tolist() == [0, 1, 2, 3, 4]
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["a.ckpt", "a.ckpt.json"]


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_is_refused_by_name(tmp_path, place):
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({"a": torch.arange(500)}, path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.ckpt was damaged"):
        IO.load_checkpoint(path)


def test_a_cut_file_is_refused_with_both_sizes(tmp_path):
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({"a": 1}, path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"100 bytes, {size} were written"):
        verify(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*b\.ckpt"):
        IO.load_checkpoint(tmp_path / "b.ckpt")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_failed_save_is_loud_and_the_old_checkpoint_stays(tmp_path, monkeypatch, number):
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint({"step": 1}, path)

    def fail(content, file):
        Path(file).write_bytes(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        IO.save_checkpoint({"step": 2}, path)
    monkeypatch.undo()
    assert IO.load_checkpoint(path)["step"] == 1
    assert len(list(tmp_path.iterdir())) == 2


class Gadget:
    """Code hidden in a pickle."""

    def __reduce__(self):
        return os.system, ("touch /dev/null",)


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    torch.save({"a": Gadget()}, tmp_path / "a.ckpt")
    with pytest.raises(Exception, match=r"holds more than data and is not read: .*system"):
        IO.load_checkpoint(tmp_path / "a.ckpt", weights_only=None)


def save_for_ever(path: Path, announced: Path) -> None:
    for step in range(1, 100_000):
        IO.save_checkpoint({"step": step, "weight": torch.full((20_000,), float(step))}, path)
        announced.write_text(str(step))


def test_a_kill_at_any_moment_leaves_the_last_announced_checkpoint(tmp_path):
    path, announced = tmp_path / "a.ckpt", tmp_path / "announced"
    rng = random.Random(0)
    context = multiprocessing.get_context("fork")
    for _ in range(20):
        announced.write_text("0")
        process = context.Process(target=save_for_ever, args=(path, announced))
        process.start()
        while announced.read_text() in ("", "0"):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.03)
        said = int(announced.read_text() or 0)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        loaded = IO.load_checkpoint(path)
        assert loaded["step"] >= said
        assert loaded["weight"].eq(loaded["step"]).all()


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


def saved(root: Path, run: int, step: int, **more) -> Path:
    path = root / str(run) / "checkpoints" / f"step_{step:07d}.ckpt"
    IO.save_checkpoint({"global_step": step, "state_dict": {"w": torch.ones(3)}} | more, path)
    return path


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


def test_deaths_between_manifest_and_rename_lose_no_file(tmp_path):
    path = saved(tmp_path, 0, 1)
    for number in range(3):  # each time a new manifest, and death before the rename
        draft = path.with_name("draft")
        torch.save({"step": number}, draft)
        write_manifest(path, draft)
        verify(path)


def test_what_a_killed_save_left_is_removed_and_nothing_else(tmp_path):
    path = saved(tmp_path, 0, 1)
    with whole(path.with_name("b.ckpt")) as alive:
        alive.touch()
        leftover = path.with_name(alive.parent.name.replace(".b.ckpt", ".a.ckpt"))
        leftover.mkdir()
        (leftover / LOCK).touch()  # which nobody holds
        remove_leftovers(tmp_path)
        left = {file.name for file in path.parent.iterdir()}
        assert left == {path.name, manifest(path).name, alive.parent.name}


def test_a_disk_that_takes_no_more_is_told_with_cause_and_path(tmp_path):
    import resource

    path = saved(tmp_path, 0, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        message = r"step_0000001\.ckpt could not be saved: File too large"
        with pytest.raises(OSError, match=message):
            saved(tmp_path, 0, 1, state_dict={"w": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert IO.load_checkpoint(path)["global_step"] == 1
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, manifest(path).name]
