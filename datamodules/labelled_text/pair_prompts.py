"""Prefixes of human texts that a language model continues, to create pairs for detectors.

A prediction batch is that of `datamodules.text.prompts`, and (B = prompts):

- `pair_B`: list[dict]; `pair_id`, `domain` and `split` of each human text, and its whole `text`.
"""

from functools import cached_property
from glob import glob
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.labelled_text.source import LabelledRow, LabelledText
from datamodules.records.document import BadSample
from datamodules.records.formats.columns import Wanted
from datamodules.records.formats.open import read_rows
from datamodules.stream.checks import check_bounds
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader
from datamodules.text.prompts import Prompts
from datamodules.text.tokenizer import load_tokenizer


class PairPrompts(Prompts):
    """Prompts with the human texts whose prefixes they are.

    Args:
        rows: The human texts.
        prompts: The prefix of each.
        ids: Start and token ids of each prompt.
        pad: Id of the padding on the left.
    """

    def __init__(self, rows: list[LabelledRow], prompts: list[str], ids: list[list[int]], pad: int):
        super().__init__(prompts, ids, pad)
        self.rows = rows

    @override
    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        batch = super().batch(ids, num_real)
        names = ("pair_id", "domain", "split", "text")
        known = [self.rows[i] for i in ids[: max(1, num_real)].tolist()]
        return batch | {"pair_B": [{name: getattr(row, name) for name in names} for row in known]}


class HumanPrompts(ResumableData):
    """The first words of each human text that has no continuation yet.

    Args:
        tokenizer: Folder or hub name of the language model's tokenizer.
        sources: Tables of texts; only human ones are used, each once in its longest version.
        prompt_words: Words of a prompt.
        least_words: Minimum number of words of a human text; shorter ones are skipped.
        written: Files of earlier runs, as a path or a glob; human texts that this generator has
            tried to continue there are skipped, so that an interrupted run continues.
        generator: Name of the generator whose continuations count; None counts those of all.
        num: Maximum number of human texts to continue; None for all.
        batch_size: Prompts per device that are continued together.

    Raises:
        ValueError: A number is out of bounds.
    """

    def __init__(
        self,
        tokenizer: str,
        sources: list[LabelledText],
        prompt_words: int = 20,
        least_words: int = 60,
        written: str | None = None,
        generator: str | None = None,
        num: int | None = None,
        batch_size: int = 16,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.sources = sources
        self.prompt_words = prompt_words
        self.least_words = least_words
        self.written = written
        self.generator = generator
        self.num = num
        self.batch_size = batch_size
        check_bounds(vars(self), dict.fromkeys(("prompt_words", "least_words", "batch_size"), 1))

    @cached_property
    def rows(self) -> list[LabelledRow]:
        """The human texts to continue."""
        longest: dict[str, LabelledRow] = {}
        for row in (row for source in self.sources for row in source.rows if row.is_human):
            known = longest.setdefault(row.pair_id, row)
            if len(row.text) > len(known.text):
                longest[row.pair_id] = row
        done = self.done()
        fit = [row for row in longest.values() if len(row.text.split()) >= self.least_words]
        wanted = fit[: self.num]
        left = [row for row in wanted if row.pair_id not in done]
        short = len(longest) - len(fit)
        rank_zero_only(print)(
            f"{len(longest):,} human texts: {short:,} shorter than {self.least_words} words, "
            f"{len(wanted) - len(left):,} continued before, {len(left):,} to go"
        )
        return left

    def done(self) -> set[str]:
        """Human texts that have a continuation."""
        files = [] if self.written is None else sorted(map(Path, glob(self.written)))
        begun = [file for file in files if file.stat().st_size]
        records = (record for _, record in read_rows(begun, Wanted(needed=["pair_id"])))
        # a line truncated by a kill is ignored
        good = [one for one in records if not isinstance(one, BadSample)]
        return {str(one["pair_id"]) for one in good if self._is_own(one)}

    def _is_own(self, record: dict[str, object]) -> bool:
        """Whether a record is a continuation, or a failed attempt, by this generator."""
        is_same = self.generator in (None, record.get("paired_generator"))
        return is_same and record.get("label") != "human"

    def predict_dataloader(self) -> EvaluationLoader:
        """Every prompt once.

        Raises:
            ValueError: There is none left.
        """
        if not self.rows:
            raise ValueError(f"nothing to write: all human texts are continued in {self.written}.")
        known = load_tokenizer(self.tokenizer)
        prompts = [" ".join(row.text.split()[: self.prompt_words]) for row in self.rows]
        ids = known.begun(prompts)
        items = PairPrompts(self.rows, prompts, ids, known.pad)
        return self.evaluation_loader(items, len(items), self.batch_size)
