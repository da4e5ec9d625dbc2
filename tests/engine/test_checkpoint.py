import errno
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from engine.checkpoint import SafeCheckpointIO, newest, verify

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
    with pytest.raises(Exception, match=r"Unsupported|weights_only"):
        IO.load_checkpoint(tmp_path / "a.ckpt", weights_only=None)


def save_for_ever(path: Path, announced: Path) -> None:
    for step in range(1, 100_000):
        IO.save_checkpoint({"step": step, "weight": torch.full((20_000,), float(step))}, path)
        announced.write_text(str(step))


def test_a_kill_at_any_moment_leaves_the_last_announced_checkpoint(tmp_path):
    path, announced = tmp_path / "a.ckpt", tmp_path / "announced"
    dice = random.Random(0)
    context = multiprocessing.get_context("fork")
    for _ in range(20):
        announced.write_text("0")
        process = context.Process(target=save_for_ever, args=(path, announced))
        process.start()
        while announced.read_text() in ("", "0"):
            time.sleep(0.001)
        time.sleep(dice.random() * 0.03)
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
        IO.save_checkpoint({"a": number}, path)
        os.utime(path, (number, number))
    assert newest(tmp_path).parent.parent.name == "2"
    (tmp_path / "2" / "checkpoints" / "step.ckpt").write_bytes(b"damaged")
    assert newest(tmp_path).parent.parent.name == "1"
    assert "trying the one before" in capsys.readouterr().out
