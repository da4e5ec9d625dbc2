"""Packed rows of text for next-token training, and prompts.

A training or evaluation batch is a dict (B = rows, L = row length, N = pieces in the batch):

- `token_BL`: int64; a row holds pieces of documents end to end, then zeros.
- `label_BL`: int64, already shifted: the token that follows in the same piece; -100 where none
  does, in the padding, and in rows that only fill the last evaluation batch.
- `position_BL`: int64; position within the piece; the padding counts as a piece of its own.
- `length_N`: list[int]; lengths of all pieces, paddings included, row after row; sums to B * L.
- `num_targets`: int; labels that count in this batch.
- `step_targets`: int; the same, summed over the batches of one optimizer step on this device.
- `num_bytes`: float; UTF-8 bytes of the text of those labels.
- `row_B`: list[int]; index of each row among those of all sources, -1 for a filler.
- `source_B`: list[int]; index of the source of each row.

A prediction batch holds the start token and the prompt, padded on the left:

- `token_BL`: int64; `mask_BL`: bool, True = real token; `prompt`: list[str].
- `row_B`: list[int]; index of each prompt, -1 for a dummy that keeps this device in step.
- `repeat_B`: list[int]; number of equal prompts before each among all prompts.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from datamodules.records.row_tally import RowTally
from datamodules.records.source import distinct
from datamodules.stream.checks import check_bounds, check_shares, check_sources
from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.stream.order import Mixture
from datamodules.stream.stages import STAGES, Stage
from datamodules.text.files import TextSource
from datamodules.text.mixture import Share, shares
from datamodules.text.packing import LongDocuments, Rows, best_fit, concatenate, explain_long
from datamodules.text.prompts import Prompts, read_prompts
from datamodules.text.rows import PackedSource, TextRows
from datamodules.text.token_cache import origin, tokenised
from datamodules.text.token_file import TokenFile
from datamodules.text.tokenizer import TextTokenizer, load_tokenizer


class TextData(ResumableData):
    """Text from one source or a weighted mixture, tokenised once, packed and shuffled.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of training text; each gets rows in proportion to its weight.
        validate: Sources of validation text, read once from start to end; weights are ignored.
        test: Sources of test text, likewise.
        row_length: Tokens of a row.
        packing: best_fit keeps documents whole; concatenate splits them at the end of a row.
        long_documents: What best_fit does with a document longer than a row.
        batch_size: Rows per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder for the tokenised text.
        seed: Seed of the order of the rows; independent of the trainer's.
        prompts: What predict continues: texts, or a file of rows, such as .jsonl, with a column
            "prompt", or a .txt file with one prompt a line; None continues the empty text.
        max_bad_rate: Share of unusable documents in a source above which the run stops.
        control_tokens: Whether the name of a control token in a text, such as `<|endoftext|>`,
            is read as that token, as Hugging Face does; otherwise as plain characters.

    Raises:
        ValueError: A size is too small, a weight is not positive or there is no training text.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[TextSource],
        validate: list[TextSource] | None = None,
        test: list[TextSource] | None = None,
        row_length: int = 512,
        packing: Literal["best_fit", "concatenate"] = "best_fit",
        long_documents: LongDocuments = "error",
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        cache: str = ".cache/tokens",
        seed: int = 0,
        prompts: list[str] | str | None = None,
        max_bad_rate: float = 0.01,
        control_tokens: bool = True,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.sources: dict[Stage, list[TextSource]] = {
            "train": train,
            "validate": validate or [],
            "test": test or [],
        }
        self.row_length = row_length
        self.packing = packing
        self.long_documents = long_documents
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_workers = num_workers
        self.cache = Path(cache)
        self.seed = seed
        self.prompts = prompts
        self.max_bad_rate = max_bad_rate
        self.control_tokens = control_tokens
        self._check()
        self._tokenised: dict[Stage, list[TokenFile]] = {}
        self._rows: dict[Stage, TextRows] = {}
        self._packed: dict[Stage, list[Rows]] = {}
        self._vocabulary: TextTokenizer | None = None

    def prepare_data(self) -> None:
        """Tokenise the sources of this command; Lightning calls it on one process per node."""
        for stage in STAGES[self._command()]:
            self._files(stage)
        if self._command() == "predict":
            _ = self.wanted

    def setup(self, stage: str) -> None:
        """Memory-map the tokens, pack them and print the training mixture."""
        for part in STAGES[stage]:
            if part not in self._rows:
                self._pack(part)
        if stage == "fit":
            for name, share in self.mixture_report().items():
                rank_zero_only(print)(share.describe(name))
            rank_zero_only(print)(self.epoch())

    def epoch(self) -> str:
        """Length of an epoch, in one line."""
        return self._length(len(self._rows["train"]), "rows")

    def _length(self, num: int, unit: str) -> str:
        batch = self.batch_size * self.replica()[1]
        window = 1 if self.trainer is None else self.trainer.accumulate_grad_batches
        steps = -(-max(1, num // batch) // window)
        return f"an epoch is {num:,} {unit}: {steps:,} steps of {batch * window:,} {unit}"

    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training rows."""
        rows = self._rows["train"]
        weights = [source.weight for source in self.sources["train"]]
        order = Mixture(rows.sizes, weights, self.seed)
        return self.training_loader(rows, order, self.batch_size, self.num_workers)

    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation row once; an empty list where there is no validation text."""
        return self._evaluation(self._rows["validate"]) if self.sources["validate"] else []

    def test_dataloader(self) -> EvaluationLoader:
        """Every test row once.

        Raises:
            ValueError: There is no test text.
        """
        if not self.sources["test"]:
            raise ValueError("there is no test text: give data.init_args.test a source.")
        return self._evaluation(self._rows["test"])

    def predict_dataloader(self) -> EvaluationLoader:
        """Every prompt once."""
        prompts, vocabulary = self.wanted, self._tokenizer()
        return self._evaluation(Prompts(prompts, vocabulary.begun(prompts), vocabulary.pad))

    @cached_property
    def wanted(self) -> list[str]:
        """The prompts; errors in them are raised before any weights are loaded."""
        return read_prompts(self.prompts, self.max_bad_rate)

    def mixture_report(self) -> dict[str, Share]:
        """What each training source has and gives, by its name; after `setup("fit")`."""
        sources, rows = self.sources["train"], self._rows["train"]
        draws = Mixture(rows.sizes, [source.weight for source in sources]).draws
        found = shares(rows, self._packed["train"], [source.weight for source in sources], draws)
        return dict(zip(distinct([source.name for source in sources]), found, strict=True))

    def training_documents(self) -> Iterator[str]:
        """The texts of all training sources, one source after the other; needs no tokenizer."""
        for source in self.sources["train"]:
            good = RowTally().sift(source.documents(), self.max_bad_rate, source.name)
            yield from (document.text for document in good)

    def example(self) -> tuple[Batch, int]:
        """A training batch of blank rows, each one document, and its tokens; reads no data."""
        shape = self.batch_size, self.row_length
        blank_BL = torch.zeros(shape, dtype=torch.int64)
        num = blank_BL.numel()
        return {
            "token_BL": blank_BL,
            "label_BL": blank_BL,
            "position_BL": torch.arange(self.row_length).expand(shape),
            "length_N": [self.row_length] * self.batch_size,
            "num_targets": num,
            "step_targets": num,
            "num_bytes": float(num),
            "row_B": list(range(self.batch_size)),
            "source_B": [0] * self.batch_size,
        }, num

    def _check(self) -> None:
        least = {
            "row_length": 2,
            "batch_size": 1,
            "eval_batch_size": 1,
            "num_workers": 0,
            "seed": 0,
        }
        check_bounds(vars(self), least)
        check_shares(vars(self), ["max_bad_rate"])
        check_sources(self.sources["train"], "text")

    def _command(self) -> str:
        """What the trainer was asked to do; without one, fit."""
        command = None if self.trainer is None else self.trainer.state.fn
        return "fit" if command is None else command.value

    def _tokenizer(self) -> TextTokenizer:
        if self._vocabulary is None:
            self._vocabulary = load_tokenizer(self.tokenizer, self.control_tokens)
        return self._vocabulary

    def _files(self, stage: Stage) -> list[TokenFile]:
        if stage not in self._tokenised:
            found = [self._tokenise(source) for source in self.sources[stage]]
            self._tokenised[stage] = found
        return self._tokenised[stage]

    def _tokenise(self, source: TextSource) -> TokenFile:
        return tokenised(source, self._tokenizer(), self.cache, self.max_bad_rate)

    def _pack(self, stage: Stage) -> None:
        files = self._files(stage)
        pairs = zip(self.sources[stage], files, strict=True)
        packed = [self._pack_one(source, file) for source, file in pairs]
        sources = [
            PackedSource.from_rows(file, rows) for file, rows in zip(files, packed, strict=True)
        ]
        for source, rows in zip(self.sources[stage], packed, strict=True):
            if not rows.num_rows:
                raise ValueError(
                    f"{source.name}: all {rows.num_dropped:,} documents of {stage} are longer than "
                    f"row_length={self.row_length} and would be dropped."
                )
        self._packed[stage] = packed
        self._rows[stage] = TextRows(sources, self.row_length)

    def _pack_one(self, source: TextSource, file: TokenFile) -> Rows:
        lengths = file.lengths
        if self.packing == "concatenate":
            return concatenate(lengths, self.row_length)
        if self.long_documents == "error" and lengths.max() > self.row_length:
            first = int(np.argmax(lengths > self.row_length))
            raise ValueError(
                explain_long(origin(source, first), int(lengths[first]), self.row_length)
            )
        return best_fit(lengths, self.row_length, self.long_documents)

    def _evaluation(self, items: TextRows | Prompts) -> EvaluationLoader:
        return self.evaluation_loader(items, len(items), self.eval_batch_size, self.num_workers)
