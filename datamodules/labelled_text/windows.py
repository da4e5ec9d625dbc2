"""Batches of labelled texts, the long ones in windows.

Shape legend: N = texts, W = windows of all of them, L = tokens of the longest window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.stream.loader import Batch
from datamodules.text.rows import padded

NO_LABEL = -100
"""Label of a text whose class is not known."""
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Item:
    """A text and what a batch reports of it.

    Attributes:
        text: The text.
        label: Index of its class, or `NO_LABEL`.
        row: Its index among all texts of the sources.
        metadata: Other fields that a batch carries, such as its generator.
        problem: Why it cannot be scored, in a few words; empty where it can.
        is_row: Whether the text is that row unchanged, whose tokens are cached.
    """

    text: str
    label: int
    row: int
    metadata: dict[str, str]
    problem: str = ""
    is_row: bool = False


class TextItems:
    """Labelled texts by index; `datamodule` documents the batch.

    Args:
        items: The texts.
        tokens: Token ids of each text, start and end included.
        pad: Id of the padding.
        max_length: Tokens of a window, start and end included, at most.
        one_window: Whether a long text gives one random window, as in training.
        seed: Seed of that choice.
    """

    def __init__(
        self,
        items: Sequence[Item],
        tokens: Sequence[Tokens],
        pad: int,
        max_length: int,
        one_window: bool,
        seed: int = 0,
    ):
        self.items = list(items)
        self.tokens = tokens
        self.pad = pad
        self.max_length = max_length
        self.one_window = one_window
        self.seed = seed

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.items)

    def ordered(self, indices: NDArray[np.int64]) -> "TextItems":
        """The same texts in another order."""
        items = [self.items[index] for index in indices]
        tokens = [self.tokens[index] for index in indices]
        return TextItems(items, tokens, self.pad, self.max_length, self.one_window, self.seed)

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """The real texts; there may be none.

        Args:
            ids: Indices of the texts; in training those of `Draws`.
            num_real: Number of texts that count; the ids after them are padding.
        """
        drawn = ids[:num_real].tolist()
        indices = [draw % len(self.items) for draw in drawn]
        cut = [self._windows(draw, index) for draw, index in zip(drawn, indices, strict=True)]
        items = [self.items[index] for index in indices]
        token_WL, mask_WL = padded([window for windows in cut for window in windows], self.pad)
        fields = self.items[0].metadata if self.items else {}
        return {
            "token_WL": torch.from_numpy(token_WL),
            "mask_WL": torch.from_numpy(mask_WL),
            "windows_N": [len(windows) for windows in cut],
            "label_N": torch.tensor([item.label for item in items], dtype=torch.int64),
            "num_targets": len(items),
            "row_N": [item.row for item in items],
            "text_N": [item.text for item in items],
            "problem_N": [item.problem for item in items],
            "density_N": [self._density(index) for index in indices],
            **{f"{name}_N": [item.metadata[name] for item in items] for name in fields},
        }

    def _density(self, index: int) -> float:
        """Tokens per byte of a text."""
        return len(self.tokens[index]) / max(1, len(self.items[index].text.encode()))

    def _windows(self, draw: int, index: int) -> list[Tokens]:
        """The windows of a text; none where it cannot be scored."""
        if self.items[index].problem:
            return []
        windows = cut_windows(self.tokens[index], self.max_length)
        if self.one_window and len(windows) > 1:
            rng = np.random.default_rng([self.seed, draw])
            return [windows[int(rng.integers(len(windows)))]]
        return windows


def cut_windows(tokens: Tokens, max_length: int) -> list[Tokens]:
    """Split a text into windows of equal length with the least overlap.

    Args:
        tokens: Ids of the text, with the start and end tokens, which every window gets.
        max_length: Ids of a window, at most.
    """
    if len(tokens) <= max_length:
        return [tokens]
    inner, size = tokens[1:-1], max_length - 2
    num = -(-len(inner) // size)
    starts = np.linspace(0, len(inner) - size, num).round().astype(int)
    return [np.concatenate([tokens[:1], inner[s : s + size], tokens[-1:]]) for s in starts]
