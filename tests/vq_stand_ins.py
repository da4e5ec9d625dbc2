"""Flags and small networks for the configs of VQ-VAEs and of what stands on them."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from tests.codec_stand_ins import shorten_table

CONFIGS = Path(__file__).parent.parent / "configs"
SOURCES = ("train", "validate", "test")


def shortened_pictures(config: Path, cache: Path) -> list[str]:
    """Flags that make three steps of a config of a VQ-VAE cheap, the last two with a codebook."""
    found = OmegaConf.to_container(OmegaConf.load(config).data.init_args, resolve=True)
    flags = ["--model.init_args.free_steps=1", "--data.init_args.batch_size=4"]
    for part in SOURCES:
        for source in found[part]:
            options = source["init_args"]
            if source["class_path"].endswith("ImageTextParquet"):
                shorten_table(source, cache)
            options.pop("copies", None)
        flags.append(f"--data.init_args.{part}={json.dumps(found[part])}")
    return flags


def untrained(config: Path, folder: Path) -> list[str]:
    """An untrained network in place of the one that a config of file models wants, if it does."""
    codec = OmegaConf.load(config).data.init_args.codec
    if not codec.init_args.get("network", "").startswith("exported/"):
        return []
    from modules.nn.vq_vae import VQNetwork, write_network

    name = Path(codec.init_args.network).name.removesuffix("_vq")
    data = OmegaConf.load(CONFIGS / "vq" / f"{name}.yaml").data.init_args
    kinds = OmegaConf.load(CONFIGS / "vq" / f"{name}.yaml").model.init_args.network.init_args
    network = VQNetwork(data.size, data.channels, kinds.num_codes, 4, kinds.downsampling, 8, 1)
    target = folder / codec.init_args.network
    target.mkdir(parents=True)
    write_network(network, target)
    return [f"--data.init_args.codec.init_args.network={target}"]
