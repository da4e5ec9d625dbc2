from pathlib import Path

import pytest
import torch
import yaml

from cli import main
from engine.commands.latents import EncodeLatents
from tests.fixtures.runs import ends_on_ranks, write_config


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder) -> Path:
    """A config with three images, and beside it an autoencoder."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    AutoencoderKL(norm_num_groups=1, block_out_channels=(4,)).save_pretrained(tmp_path / "vae")
    config = write_config(tmp_path, text_file, tokenizer_folder)
    source = {
        "class_path": "datamodules.synthetic.shapes.source.ShapePairs",
        "init_args": {"num": 3},
    }
    options = {"tokenizer": str(tokenizer_folder), "train": [source], "num_patches": 16}
    data = {"class_path": "datamodules.image_text.datamodule.ImageTextData", "init_args": options}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"data": data}))
    return config


def test_the_command_encodes_the_images_of_a_config(config, tmp_path, capsys):
    out = tmp_path / "out"
    main(["latents", f"--config={config}", f"--vae={tmp_path / 'vae'}", f"--folder={out}"])
    assert (out / "train" / "00000" / "moments.bin").stat().st_size == 3 * 8 * 32 * 32 * 2
    assert "3 documents, images [3, 8, 32, 32]" in capsys.readouterr().out


@pytest.mark.slow
def test_two_ranks_encode_what_one_encodes_alone(config, tmp_path):
    flags = [f"--vae={tmp_path / 'vae'}", "--part_size=1"]

    def moments(name: str) -> list[bytes]:
        return [file.read_bytes() for file in sorted((tmp_path / name).rglob("moments.bin"))]

    main(["latents", f"--config={config}", *flags, f"--folder={tmp_path / 'alone'}"])
    codes, logs = ends_on_ranks(
        config, 2, *flags, f"--folder={tmp_path / 'both'}", command="latents"
    )
    assert codes == [0, 0], logs
    assert "".join(logs).count("3 documents, images [3, 8, 32, 32]") >= 1
    assert len(moments("alone")) == 3
    assert moments("both") == moments("alone")
    assert not list((tmp_path / "both").glob("*.parts"))


def test_what_the_command_cannot_do_is_refused(config, tmp_path, capsys):
    flags = ["latents", f"--config={config}", f"--vae={tmp_path / 'vae'}"]
    for more, said in (
        (["--folder=s3://bucket/out"], "s3://bucket/out is not on this machine"),
        ([f"--folder={tmp_path}", "--part_size=0"], "part_size must be at least 1, got 0"),
    ):
        with pytest.raises(SystemExit):
            main([*flags, *more])
        assert said in capsys.readouterr().err


def test_data_without_images_are_refused():
    with pytest.raises(TypeError, match="NoneType has no images to encode"):
        EncodeLatents().run(None, None, None, "vae", "out")
