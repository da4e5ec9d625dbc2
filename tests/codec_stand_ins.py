"""Small data under the names that the configs of file models use."""

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from modules.codec_lm.spelling import ALPHABET

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
NUM = 12


def write_codec_stand_ins(data: Path) -> None:
    """Pictures in Parquet and in folders, videos, and tokenizers of bytes."""
    from engine.commands.tokenizer import train_tokenizer

    for name, side in (("mnist", 28), ("cifar10", 32)):
        for part in ("train", "test"):
            write_parquet(data / name / f"{part}.parquet", side)
    write_parquet(data / "emoji" / "emoji72.parquet", 64)
    for part in ("train", "validate", "test"):
        (data / "images" / part).mkdir(parents=True)
        for number in range(2):
            (data / "images" / part / f"{number}.png").write_bytes(picture(number, 64))
    for part in ("train", "validate", "test"):
        (data / "videos" / part).mkdir(parents=True)
        for number in range(2):
            write_video(data / "videos" / part / f"{number}.mp4", number)
    for name in ("jpeg_bpe", "avc_bpe"):
        train_tokenizer(iter(ALPHABET), 257, data / name, ALPHABET)


def picture(number: int, side: int) -> bytes:
    """A smooth picture as a PNG file."""
    small = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((side, side)).save(file, "PNG")
    return file.getvalue()


def write_video(path: Path, number: int) -> None:
    """Five seconds of a smooth picture that moves."""
    with av.open(str(path), "w") as container:
        # a constant quantiser: what a bit rate leads to is not the same every time
        stream = container.add_stream("libx264", rate=6, options={"qp": "20"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.thread_count = 1
        wide = np.asarray(Image.open(io.BytesIO(picture(number, 128))))
        for at in range(32):
            frame_HWC = np.ascontiguousarray(wide[at : at + 48, at : at + 64])
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_parquet(path: Path, side: int) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "image": {"bytes": picture(number, side), "path": f"{number}.png"},
            "split": ("train", "val", "test")[number % 3],
        }
        for number in range(NUM)
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def shortened_files(config: Path, cache: Path) -> list[str]:
    """Flags that make three steps of a config of a file model cheap."""
    loaded = OmegaConf.load(config)
    flags = ["--model.init_args.constrained=false", "--data.init_args.num_samples=2"]
    if loaded.trainer.get("accumulate_grad_batches"):
        prefix = "--model.init_args.network.init_args.options"
        flags += [f"{prefix}.{name}={value}" for name, value in TINY.items()]
        flags += ["--trainer.accumulate_grad_batches=2", "--data.init_args.share=0"]
        flags += ["--data.init_args.row_length=2048"]
    for part in ("train", "validate", "test"):
        found = OmegaConf.to_container(loaded.data.init_args, resolve=True).get(part, [])
        for source in found:
            if source["class_path"].endswith("MovingPictures"):
                source["init_args"]["num"] = NUM
                shorten_table(source["init_args"]["pictures"], cache)
            if source["class_path"].endswith("ImageTextParquet"):
                shorten_table(source, cache)
            if source["class_path"].endswith("Digits"):
                source["init_args"].pop("copies", None)
        flags += [f"--data.init_args.{part}={json.dumps(found)}"] if found else []
    return flags


def shorten_table(source: dict[str, Any], cache: Path) -> None:
    """Let a source of Parquet keep its cache elsewhere, and cut a smaller table in two."""
    source["init_args"]["cache"] = str(cache)
    for part in {"num", "skip"} & source["init_args"].keys():
        source["init_args"][part] = NUM // 2
