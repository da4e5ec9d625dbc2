import pytest
import torch
import yaml

from cli import main
from engine.commands.latents import EncodeLatents
from tests.fixtures.runs import write_config


def test_the_command_encodes_the_images_of_a_config(tmp_path, text_file, tokenizer_folder, capsys):
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
    out = tmp_path / "out"
    main(["latents", f"--config={config}", f"--vae={tmp_path / 'vae'}", f"--folder={out}"])
    assert (out / "train" / "moments.bin").stat().st_size == 3 * 8 * 32 * 32 * 2
    assert "3 documents, images [3, 8, 32, 32]" in capsys.readouterr().out


def test_data_without_images_are_refused():
    with pytest.raises(TypeError, match="NoneType has no images to encode"):
        EncodeLatents().run(None, None, None, "vae", "out")
