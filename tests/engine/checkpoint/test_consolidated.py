import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from engine.checkpoint.consolidated import from_deepspeed, read_whole
from tests.fixtures.checkpoints import saved


@pytest.fixture
def folder(tmp_path):
    """What FSDP2 writes: weights, optimizer state, and the rest."""
    torch.manual_seed(0)
    weights = {"w": torch.randn(64, 8), "b": torch.ones(2, dtype=torch.bfloat16)}
    state = {"state_dict": weights, "optimizer_0": {"m": torch.zeros(4)}}
    dcp.save(state, checkpoint_id=tmp_path / "x.ckpt", no_dist=True)
    meta = {"global_step": 3, "ema": {"weights": {"w": torch.zeros(64, 8)}}}
    torch.save(meta, tmp_path / "x.ckpt" / "meta.pt")
    return tmp_path / "x.ckpt", weights


def test_a_folder_of_shards_is_one_dictionary_without_the_optimizer(folder):
    path, weights = folder
    held = read_whole(path)
    assert held["global_step"] == 3
    assert held["ema"]["weights"]["w"].shape == (64, 8)
    assert held["state_dict"].keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(held["state_dict"][name], value)
        assert held["state_dict"][name].dtype == value.dtype


def test_a_file_is_read_as_it_is(tmp_path):
    held = read_whole(saved(tmp_path, 0, 5))
    assert held["global_step"] == 5
    assert torch.equal(held["state_dict"]["w"], torch.ones(3))


def test_one_flipped_byte_of_a_weight_in_a_shard_is_named(folder):
    path, weights = folder
    shard = path / "__0_0.distcp"
    whole = bytearray(shard.read_bytes())
    place = whole.index(weights["w"].numpy().tobytes())
    whole[place + 100] ^= 1
    shard.write_bytes(whole)
    with pytest.raises(ValueError, match=r"__0_0\.distcp was damaged: the checksum of w is wrong"):
        read_whole(path)


def deepspeed_folder(folder):
    """What a save of DeepSpeed looks like from outside."""
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "latest").write_text("checkpoint")
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        torch.save({"a": torch.arange(1000.0)}, folder / "checkpoint" / name)
    return folder


def flip(folder):
    file = folder / "checkpoint" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    whole = bytearray(file.read_bytes())
    whole[whole.index(torch.arange(1000.0).numpy().tobytes()) + 9] ^= 1
    file.write_bytes(whole)


def cut(folder):
    file = folder / "checkpoint" / "mp_rank_00_model_states.pt"
    file.write_bytes(file.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "latest").unlink(), "lacks the file latest"),
        (flip, r"optim_states\.pt was damaged: its checksums are wrong"),
        (cut, r"model_states\.pt was damaged: its checksums are wrong"),
        (
            lambda folder: next(folder.glob("*/*optim*")).unlink(),
            r"lacks \*_optim_states\.pt: it was not written whole",
        ),
        pytest.param(
            lambda folder: None, "DeepSpeed could not join its parts", marks=pytest.mark.slow
        ),
    ],
    ids=["no latest", "flipped", "cut", "no partition", "other content"],
)
def test_a_damaged_folder_of_deepspeed_is_refused_by_name(tmp_path, damage, message):
    folder = deepspeed_folder(tmp_path / "x.ckpt")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        from_deepspeed(folder)


@pytest.mark.slow
def test_what_deepspeed_itself_saved_in_any_stage_is_one_dictionary_of_trained_weights(tmp_path):
    script = Path(__file__).parents[2] / "fixtures" / "zero_folders.py"
    args = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(args, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for stage in (1, 2, 3):
        held = read_whole(tmp_path / f"{stage}.ckpt")
        wanted = torch.load(tmp_path / f"{stage}.pt", weights_only=True)
        assert held.keys() == {"state_dict", "global_step", "hyper_parameters"}
        assert held["global_step"] == stage
        assert held["state_dict"].keys() == wanted.keys()
        assert all(torch.equal(held["state_dict"][name], wanted[name]) for name in wanted)
