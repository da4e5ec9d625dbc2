"""Prompts for generation, padded on the left.

Shape legend: B = prompts of a batch, L = length of the longest of them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.records.document import BadSample, Blank, Document, to_document, unwritable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, Wanted, cell
from datamodules.records.formats.files import FORMATS, bare, file_format, opened, shown
from datamodules.records.formats.open import read_rows
from datamodules.records.roots import missing
from datamodules.records.row_tally import RowTally
from datamodules.records.table import text
from datamodules.stream.loader import Batch

COLUMN = "prompt"
"""The column of prompts."""


class Prompts:
    """Prompts as batches; `datamodules.text.datamodule` documents the batch.

    Args:
        prompts: The texts.
        ids: Start and token ids of each prompt.
        pad: Id of the padding on the left.
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
        """The real prompts; if there is none, the first one with the row id -1."""
        chosen = ids[: max(1, num_real)].tolist()
        token_BL, mask_BL = left_padded([self.ids[i] for i in chosen], self.pad)
        return {
            "token_BL": torch.from_numpy(token_BL),
            "mask_BL": torch.from_numpy(mask_BL),
            "prompt": [self.prompts[i] for i in chosen],
            "row_B": chosen if num_real else [-1],
            "repeat_B": [self.repeats[i] for i in chosen],
        }


def left_padded(
    prompts: Sequence[list[int]], pad: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Prompts as rows, padded on the left, and the mask of real tokens, both [B, L].

    Args:
        prompts: Token ids of each, one or more.
        pad: Id of the padding.
    """
    length = max(map(len, prompts))
    token_BL = np.full((len(prompts), length), pad, np.int64)
    mask_BL = np.zeros(token_BL.shape, bool)
    for b, ids in enumerate(prompts):
        token_BL[b, length - len(ids) :] = ids
        mask_BL[b, length - len(ids) :] = True
    return token_BL, mask_BL


def repeats(prompts: list[str]) -> list[int]:
    """Number of equal prompts before each."""
    seen = Counter[str]()
    found = []
    for prompt in prompts:
        found.append(seen[prompt])
        seen[prompt] += 1
    return found


def read_prompts(prompts: list[str] | str | None, max_bad_rate: float = 0.0) -> list[str]:
    """Prompts as given, or from a file.

    Args:
        prompts: The texts; or a `.txt` file with one prompt a line, or a file of rows, such as
            `.jsonl` or `.csv`, with a column `prompt`; None gives one empty prompt.
        max_bad_rate: Share of unusable prompts of a file above which they are refused.

    Returns:
        At least one prompt.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has another extension, or too many lines have no prompt.
    """
    if isinstance(prompts, str):
        file = prompt_file(prompts)
        return list(RowTally().sift(_prompts(file), max_bad_rate, shown(file)))
    for number, given in enumerate(prompts or []):
        if reason := unwritable(given):
            raise ValueError(f"prompt {number}: {reason}.")
    return prompts or [""]


def prompt_file(prompts: str) -> Path:
    """The file of the prompts.

    Raises:
        FileNotFoundError: There is none; the message says how to give texts instead.
        ValueError: Its extension is not that of a prompt file.
    """
    file = Path(prompts)
    if file.is_file():
        if bare(file).endswith(".txt") or file_format(file):
            return file
        raise ValueError(
            f"{file} holds no prompts: a file of them ends in .txt (one a line) or in "
            f"{', '.join(FORMATS)} (with a column 'prompt')."
        )
    if bare(file).endswith((".txt", *FORMATS)):
        raise missing(prompts)
    raise FileNotFoundError(
        f"there is no file {prompts!r}. Prompts that are texts are a list: "
        f"--data.init_args.prompts '[{json.dumps(prompts, ensure_ascii=False)}]'."
    )


def prompt_lines(file: Path) -> Iterator[tuple[str, str | BadSample]]:
    """Origin and text of each line of a text file; blank lines are not counted."""
    with opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            found = to_document(line.rstrip(b"\r\n"), f"{shown(file)}:{number}")
            if isinstance(found, Document):
                yield found.origin, found.text
            elif not isinstance(found, Blank):
                yield found.origin, found


def _prompts(file: Path) -> Iterator[str | BadSample]:
    """The prompts of a file; a blank one is valid."""
    if not file_format(file):
        yield from (said for _, said in prompt_lines(file))
        return
    for origin, record in read_rows([file], Wanted([COLUMN], [COLUMN])):
        if isinstance(record, BadSample):
            yield record
        else:
            yield attempt(origin, _prompt, record)


def _prompt(record: Record) -> str:
    """The prompt of a row; a missing one is an error, an empty one starts a document.

    Raises:
        BadSampleError: There is none, or it is not a text.
    """
    value = cell(record, COLUMN)
    if value is None:
        raise BadSampleError("null")
    return text(value, COLUMN)
