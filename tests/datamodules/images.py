"""Tiny images and sets of them, good and broken."""

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NUM = 12


def pixels(index: int, size: int = 8) -> NDArray[np.uint8]:
    """Noise, another for each index."""
    return np.random.default_rng(index).integers(0, 256, (size, size, 3)).astype(np.uint8)


def encoded(index: int, size: int = 8, kind: str = "PNG") -> bytes:
    """The same as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels(index, size)).save(file, kind)
    return file.getvalue()


def caption(index: int) -> str:
    return f"picture {index} of a cat and the moon"


def bomb() -> bytes:
    """A small PNG that says it has 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"\0" * 100)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_folder(folder: Path, lines: Sequence[bytes] | None = None, num: int = NUM) -> str:
    """A folder of PNGs with metadata.jsonl; `lines` come after the good ones."""
    folder.mkdir(exist_ok=True)
    for index in range(num):
        (folder / f"{index}.png").write_bytes(encoded(index))
    good = [{"file_name": f"{i}.png", "text": caption(i)} for i in range(num)]
    rows = [json.dumps(row).encode() for row in good]
    (folder / "metadata.jsonl").write_bytes(b"\n".join([*rows, *(lines or [])]) + b"\n")
    return str(folder)


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> str:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)
