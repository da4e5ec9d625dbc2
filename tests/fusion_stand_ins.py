"""Small data and models under the names that the configs of LMFusion use."""

import io
import json
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image

LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 300,
}
UNET = {"widths": [16, 32], "num_blocks": 1, "time_width": 16, "head_size": 16}


def write_fusion_stand_ins(data: Path, models: Path, tokenizer: Path) -> None:
    """Emoji, latents, an autoencoder and a LLaVA."""
    write_emoji(data / "emoji")
    for part in ("train", "validate"):
        write_latents(data / "image_latents" / part)
    write_autoencoder(models / "sd-vae-ft-mse")
    write_llava(models / "llama3-llava-next-8b-hf", tokenizer)


def write_emoji(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = []
    for number in range(12):
        file = io.BytesIO()
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(file, "PNG")
        split = ("train", "val", "test")[number % 3]
        picture = {"bytes": file.getvalue(), "path": f"{number}.png"}
        rows.append({"image": picture, "caption": f"dog {number}", "split": split})
    folder.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "emoji32.parquet")


def write_latents(folder: Path, num: int = 8) -> None:
    folder.mkdir(parents=True)
    shape = (num, 8, 32, 32)
    np.random.default_rng(0).normal(size=shape).astype(np.float16).tofile(folder / "moments.bin")
    scaling = {"scale": 0.18215, "shift": 0.0}
    (folder / "meta.json").write_text(json.dumps({"shape": shape, "scaling": scaling}))
    lines = [json.dumps({"image": i, "captions": [f"dog {i}"]}) for i in range(num)]
    (folder / "documents.jsonl").write_text("\n".join(lines) + "\n")


def write_autoencoder(folder: Path) -> None:
    from diffusers import AutoencoderKL

    AutoencoderKL(norm_num_groups=4, block_out_channels=(4,)).save_pretrained(folder)


def write_llava(folder: Path, tokenizer: Path) -> None:
    from transformers import (
        AutoTokenizer,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
    )

    torch.manual_seed(0)
    tower = {k: v for k, v in LLAMA.items() if k != "vocab_size"}
    vision = CLIPVisionConfig(**tower, image_size=16, patch_size=8)
    parts = {"text_config": LlamaConfig(**LLAMA), "vision_config": vision}
    config = LlavaNextConfig(**parts, image_token_index=299, image_grid_pinpoints=[[16, 16]])
    LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def shortened(config: Path, cache: Path) -> list[str]:
    """Flags that make three steps of a config of LMFusion cheap."""
    loaded = OmegaConf.load(config)
    flags = ["--model.init_args.generation.num_steps=2"]
    network = loaded.model.init_args.network.init_args
    if network.patchifier.class_path.endswith("UNetPatchifier"):
        prefix = "--model.init_args.network.init_args.patchifier.init_args"
        flags += [f"{prefix}.{name}={json.dumps(value)}" for name, value in UNET.items()]
    if loaded.trainer.get("accumulate_grad_batches"):
        few = ["--data.init_args.batch_size=2", "--data.init_args.eval_batch_size=2"]
        flags += [*few, "--data.init_args.num_workers=0", "--trainer.accumulate_grad_batches=2"]
    for part in ("train", "validate", "test"):
        found = OmegaConf.to_container(loaded.data.init_args, resolve=True).get(part, [])
        for source in found:
            if source["class_path"].endswith("ImageTextParquet"):
                source["init_args"]["cache"] = str(cache)
        flags += [f"--data.init_args.{part}={json.dumps(found)}"] if found else []
    return flags
