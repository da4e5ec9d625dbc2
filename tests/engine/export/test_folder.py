"""What an exported folder may name, and on which base it opens."""

import json
import shutil

import pytest
import torch

from cli import main
from engine.disk.tensors import read_tensors, write_tensors
from engine.export.folder import open_exported
from tests.fixtures.lmfusion_small_run import write_config, write_llama
from tests.fixtures.runs import fit, last, refused


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tokenizer_folder):
    """A run of LMFusion, its config and its language model."""
    folder = tmp_path_factory.mktemp("fusion")
    llama = write_llama(folder / "llama")
    config = write_config(folder, llama, tokenizer_folder)
    return config, fit(config), llama


@pytest.fixture(scope="module")
def delta(trained, tmp_path_factory):
    config, run, _ = trained
    folder = tmp_path_factory.mktemp("delta") / "out"
    main(["export", f"--config={config}", last(run), f"--folder={folder}", "--only_trained=true"])
    return folder


def test_image_experts_stand_on_their_own_base_wherever_it_lies_and_on_no_other(
    trained, delta, tmp_path
):
    wanted = open_exported(delta).outputs()
    moved = tmp_path / "moved"
    shutil.copytree(trained[2], moved)
    assert torch.equal(open_exported(delta, base=str(moved)).outputs(), wanted)
    other = write_llama(tmp_path / "other", seed=2)
    with pytest.raises(ValueError, match=r"was trained with frozen weights all:.* but the config"):
        open_exported(delta, base=str(other))
    assert wanted.isfinite().all()


def copied(delta, tmp_path, **changes):
    folder = tmp_path / "changed"
    shutil.copytree(delta, folder)
    held = json.loads((folder / "system.json").read_text())
    (folder / "system.json").write_text(json.dumps(held | changes))
    return folder


def test_a_folder_that_names_other_code_is_refused_and_nothing_runs(delta, tmp_path):
    folder = copied(delta, tmp_path, class_path="os.system")
    with pytest.raises(ValueError, match=r"names os\.system, which is not in the list"):
        open_exported(folder)
    inner = copied(delta, tmp_path / "2", init_args={"network": {"class_path": "subprocess.run"}})
    with pytest.raises(ValueError, match=r"names subprocess\.run, which is not in the list"):
        open_exported(inner)


def test_a_folder_without_a_weight_or_with_one_too_many_is_refused(delta, tmp_path):
    folder = copied(delta, tmp_path)
    state = read_tensors(folder)
    name = "network.mark"
    value = state.pop(name)
    write_tensors(state, folder)
    with pytest.raises(ValueError, match=r"lacks network\.mark$"):
        open_exported(folder)
    write_tensors({**state, name: value, "network.more": value}, folder)
    with pytest.raises(ValueError, match=r"holds unknown network\.more$"):
        open_exported(folder)
    with pytest.raises(FileNotFoundError, match=r"has no system\.json: write the folder by"):
        open_exported(tmp_path)


def flipped(path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def shortened(path):
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(("damage", "message"), [(flipped, "damaged"), (shortened, "has .* bytes")])
def test_a_damaged_checkpoint_is_refused_in_one_line_and_leaves_no_folder(
    trained, tmp_path, damage, message
):
    config, run, _ = trained
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    damage((tmp_path / "run" / "checkpoints" / "last.ckpt").resolve())
    with refused(message):
        main(["export", f"--config={config}", last(tmp_path / "run"), f"--folder={tmp_path}/out"])
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_what_stands_on_nothing_cannot_be_written_without_it(tmp_path):
    with refused("only_trained: VQVAE stands on no frozen model; all of it is written"):
        main(["export", "--config=configs/vq/digits.yaml", "--untrained", "--only_trained=true",
              f"--folder={tmp_path}/out"])  # fmt: skip
    with refused("max_shard_size is a size such as 5GB or 200MB, got 5"):
        main(["export", "--config=configs/vq/digits.yaml", "--untrained", "--max_shard_size=5",
              f"--folder={tmp_path}/out"])  # fmt: skip
    assert not list(tmp_path.iterdir())
