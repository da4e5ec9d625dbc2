import errno
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from engine.checkpoint.io import remove_leftovers
from engine.checkpoint.manifest import manifest, verify, write_manifest
from engine.disk.whole import LOCK, whole
from tests.fixtures.checkpoints import IO, saved


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
