import os
import pickle

import pytest
import torch
import torch.distributed.checkpoint as dcp

from engine.checkpoint.folder_manifest import MANIFEST, hashes, write_manifest
from engine.checkpoint.manifest import verify
from engine.checkpoint.sharded import files_of, read_index, refuse_code
from engine.parallel.fsdp2 import FSDP2
from engine.parallel.shards.reading import fill


class Gadget:
    """Code hidden in a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def folder(tmp_path):
    """What FSDP2 writes: an index, shards, and the rest."""
    state = {"a": torch.arange(12.0).reshape(3, 4), "b": {"c": torch.ones(2, dtype=torch.bfloat16)}}
    dcp.save({**state, "step": 3}, checkpoint_id=tmp_path / "x.ckpt", no_dist=True)
    torch.save({"global_step": 3}, tmp_path / "x.ckpt" / "meta.pt")
    return tmp_path / "x.ckpt"


def test_a_whole_folder_of_shards_is_accepted_and_its_index_read(folder):
    verify(folder)
    assert "a" in read_index(folder / ".metadata").state_dict_metadata


@pytest.mark.parametrize("file", [".metadata", "meta.pt", "__0_0.distcp"])
def test_a_folder_that_lacks_a_part_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(ValueError, match=r"x\.ckpt"):
        verify(folder)


def test_a_shard_that_was_cut_is_refused(folder):
    shard = folder / "__0_0.distcp"
    shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"__0_0\.distcp has 50 bytes"):
        verify(folder)


@pytest.fixture
def sealed(folder):
    """The same with its manifest."""
    write_manifest(folder, hashes(folder, files_of(folder)))
    verify(folder)
    return folder


@pytest.mark.parametrize("file", ["meta.pt", "__0_0.distcp"])
def test_one_changed_byte_of_a_folder_is_refused_by_the_name_of_its_file(sealed, file):
    content = bytearray((sealed / file).read_bytes())
    content[len(content) // 2] ^= 1
    (sealed / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{file} was damaged|{file} (holds|cannot)"):
        verify(sealed)


def test_a_folder_is_what_its_manifest_says(sealed):
    """Nothing is missing, cut off or exchanged, and the manifest itself can be read."""
    shard = sealed / "__0_0.distcp"
    content = shard.read_bytes()
    shard.write_bytes(content + b"more")
    with pytest.raises(ValueError, match=r"__0_0\.distcp has \d+ bytes, \d+ were written"):
        verify(sealed)
    shard.unlink()
    with pytest.raises(ValueError, match=r"lacks __0_0\.distcp: it was not written whole"):
        verify(sealed)
    shard.write_bytes(content)
    write_manifest(sealed, hashes(sealed, ["meta.pt", ".metadata"]))
    with pytest.raises(ValueError, match=r"__0_0\.distcp is not in manifest\.json"):
        verify(sealed)
    (sealed / MANIFEST).write_text("[1]")
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        verify(sealed)


def test_what_is_no_tensor_in_a_shard_is_read_as_data_alone(tmp_path):
    """torch's own reader would run what a pickle within a shard names."""
    dcp.save({"a": Gadget(tmp_path / "ran")}, checkpoint_id=tmp_path / "x.ckpt", no_dist=True)
    with pytest.raises(ValueError, match=r"x\.ckpt cannot be read: .*(posix|os)\.system"):
        fill(tmp_path / "x.ckpt", None, {"a": 0})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", [".metadata", "meta.pt", "mp_rank_00_model_states.pt"])
def test_code_in_any_file_of_a_folder_is_named_and_not_run(folder, file, tmp_path):
    gadget = Gadget(tmp_path / "ran")
    if file == ".metadata":
        (folder / file).write_bytes(pickle.dumps(gadget))
    else:
        torch.save({"a": gadget}, folder / file)
    with pytest.raises(ValueError, match=r"(posix|os)\.system"):
        refuse_code(folder)
    with pytest.raises(ValueError, match=r"(posix|os)\.system"):
        verify(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps([1])[:-1]])
def test_an_index_that_is_damaged_is_refused_by_name(folder, content):
    (folder / ".metadata").write_bytes(content)
    with pytest.raises(ValueError, match=r"\.metadata is no index of shards"):
        verify(folder)


def test_the_strategy_itself_reads_no_folder_that_holds_code(folder, tmp_path, monkeypatch):
    """Training from Python has no command line that checks first."""
    (folder / ".metadata").write_bytes(pickle.dumps(Gadget(tmp_path / "ran")))
    strategy = FSDP2()
    strategy._lightning_module = torch.nn.Module()
    monkeypatch.setattr(strategy, "broadcast", lambda path: path)
    with pytest.raises(ValueError, match=r"(posix|os)\.system"):
        strategy.load_checkpoint(folder)
    assert not (tmp_path / "ran").exists()
