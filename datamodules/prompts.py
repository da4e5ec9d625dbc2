"""Prompts to be continued, padded on the left.

Shape legend: B = prompts of a batch, L = length of the longest of them.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.loader import Batch
from datamodules.roots import missing


class Prompts:
    """Prompts as batches; what a batch holds is said in `text`.

    Args:
        prompts: The texts.
        ids: Start and token ids of each prompt.
        pad: Id that fills up on the left.
    """

    def __init__(self, prompts: list[str], ids: list[list[int]], pad: int):
        self.prompts = prompts
        self.ids = ids
        self.pad = pad
        self.repeats = repeats(prompts)

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.prompts)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real prompts; where there is none, the first one, with the row id -1."""
        chosen = ids[: max(1, num_real)].tolist()
        length = max(len(self.ids[i]) for i in chosen)
        token_BL = np.full((len(chosen), length), self.pad, np.int64)
        mask_BL = np.zeros(token_BL.shape, bool)
        for b, i in enumerate(chosen):
            token_BL[b, length - len(self.ids[i]) :] = self.ids[i]
            mask_BL[b, length - len(self.ids[i]) :] = True
        return {
            "token_BL": torch.from_numpy(token_BL),
            "mask_BL": torch.from_numpy(mask_BL),
            "prompt": [self.prompts[i] for i in chosen],
            "row_B": chosen if num_real else [-1],
            "repeat_B": [self.repeats[i] for i in chosen],
        }


def repeats(prompts: list[str]) -> list[int]:
    """How many equal prompts stand before each."""
    seen = Counter[str]()
    found = []
    for prompt in prompts:
        found.append(seen[prompt])
        seen[prompt] += 1
    return found


def read_prompts(prompts: list[str] | str | None) -> list[str]:
    """Prompts as given, or from a file.

    Args:
        prompts: The texts; or a `.jsonl` file with a key `prompt`, or a `.txt` file with one
            prompt a line; nothing stands for one empty prompt.

    Returns:
        At least one prompt.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has another suffix, or a line without a prompt.
    """
    if isinstance(prompts, str):
        path = Path(prompts)
        if not path.is_file():
            raise missing(prompts)
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if path.suffix not in (".jsonl", ".txt"):
            raise ValueError(f"{path} must end in .jsonl or .txt.")
        is_json = path.suffix == ".jsonl"
        prompts = [_prompt(line, path) for line in lines] if is_json else lines
    return prompts or [""]


def _prompt(line: str, path: Path) -> str:
    """The prompt of one line of JSON."""
    try:
        return str(json.loads(line)["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no key 'prompt' in the line {line[:80]!r}.") from error
