"""Pairs of answers, one preferred to the other, for preference optimisation.

A training or evaluation batch is a dict (P = pairs, B = 2 P rows, L = longest row):

- `token_BL`, `label_BL`, `position_BL`: int64; first the chosen conversations of all pairs, then
  the rejected ones, padded on the right; `label_BL` is already shifted, and -100 except at tokens
  of the last answer.
- `length_N`: list[int]; lengths of conversation and padding, row after row; sums to B * L.
- `num_targets`: int; pairs that count: the first ones, without those that fill the last batch.
- `step_targets`: int; the same, summed over the batches of one optimizer step on this device.
- `row_B`: list[int]; index of each pair among those of all sources, -1 for a filler; [P].
- `source_B`: list[int]; index of the source of each pair; [P].

A prediction batch is that of `datamodules.instructions.datamodule`.
"""

from dataclasses import dataclass

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.instructions.datamodule import InstructionData, LongSamples, refuse_long
from datamodules.instructions.pairs import PairTokenizer, PreferenceFiles, PreferenceHub
from datamodules.instructions.templates import chat_template
from datamodules.records.source import distinct
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader
from datamodules.stream.order import Mixture
from datamodules.stream.stages import STAGES, Stage
from datamodules.text.packing import Rows
from datamodules.text.rows import TextRows, targets_within
from datamodules.text.source import TextSource
from datamodules.text.token_cache import tokenised
from datamodules.text.token_file import TokenFile

Preferences = PreferenceFiles | PreferenceHub


@dataclass
class PairRows:
    """Pairs as batches, over rows of a single conversation; the docstring of the module says how.

    Attributes:
        rows: The conversations: chosen and rejected one of the first pair, of the second, ...
    """

    rows: TextRows

    @property
    def sizes(self) -> list[int]:
        """Number of pairs of each source."""
        return [size // 2 for size in self.rows.sizes]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows) // 2

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        """One batch; pairs from `num_real` on only fill it: they have no labels and the id -1."""
        row_B = np.concatenate([2 * ids, 2 * ids + 1])
        is_real_P = np.arange(len(ids)) < num_real
        width = int(self.rows.tokens_of(row_B).max())
        batch = self.rows.laid(row_B, np.tile(is_real_P, 2), width)
        source_B = np.asarray(batch["source_B"])
        del batch["num_bytes"]
        return batch | {
            "num_targets": num_real,
            "row_B": np.where(is_real_P, ids, -1).tolist(),
            "source_B": source_B[: len(ids)].tolist(),
        }


class PreferenceData(InstructionData):
    """Pairs of answers of one source or a weighted mixture, tokenised once and shuffled.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of training pairs; each gets pairs in proportion to its weight.
        validate: Sources of validation pairs, read once from start to end.
        test: Sources of test pairs, likewise.
        chat_template: Template of a conversation, as of `InstructionData`.
        row_length: Tokens of a prompt and its answer, at most.
        long_samples: What happens to a pair with a longer conversation: it is truncated, and
            dropped if an answer is cut away or no difference is left; or it is dropped; or the run
            stops.
        batch_size: Pairs per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder for the tokenised text.
        seed: Seed of the order of the pairs; independent of the trainer's.
        prompts: Prompts of predict: texts, or a file of them; each is a first turn of the user.
        max_bad_rate: Share of unusable pairs in a source above which the run stops.

    Raises:
        ValueError: A size is too small, a weight is not positive or there is no training source.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[Preferences],
        validate: list[Preferences] | None = None,
        test: list[Preferences] | None = None,
        chat_template: str | None = None,
        row_length: int = 512,
        long_samples: LongSamples = "cut",
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        cache: str = ".cache/tokens",
        seed: int = 0,
        prompts: list[str] | str | None = None,
        max_bad_rate: float = 0.01,
    ):
        super().__init__(
            tokenizer=tokenizer,
            train=list(train),  # type: ignore[arg-type]  # sources of text alike
            validate=list(validate or []),  # type: ignore[arg-type]
            test=list(test or []),  # type: ignore[arg-type]
            chat_template=chat_template,
            learn="last",
            row_length=row_length,
            long_samples=long_samples,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            cache=cache,
            seed=seed,
            prompts=prompts,
            max_bad_rate=max_bad_rate,
        )
        self._pairs: dict[Stage, PairRows] = {}

    @override
    def setup(self, stage: str) -> None:
        """Memory-map the tokens, and print the sources of training."""
        for part in STAGES[stage]:
            if part not in self._pairs:
                self._pack(part)
                self._pairs[part] = PairRows(self._rows[part])
        if stage == "fit":
            self._describe()

    @override
    def train_dataloader(self) -> ResumableLoader:
        """The endless stream of training pairs."""
        pairs = self._pairs["train"]
        weights = [source.weight for source in self.sources["train"]]
        order = Mixture(pairs.sizes, weights, self.seed)
        return self.training_loader(pairs, order, self.batch_size, self.num_workers)

    @override
    def val_dataloader(self) -> EvaluationLoader | list[EvaluationLoader]:
        """Every validation pair once; an empty list where there is none."""
        return self._once("validate") if self.sources["validate"] else []

    @override
    def test_dataloader(self) -> EvaluationLoader:
        """Every test pair once.

        Raises:
            ValueError: There is none.
        """
        if not self.sources["test"]:
            raise ValueError("there are no test pairs: give data.init_args.test a source.")
        return self._once("test")

    def _once(self, stage: Stage) -> EvaluationLoader:
        pairs = self._pairs[stage]
        return self.evaluation_loader(pairs, len(pairs), self.eval_batch_size, self.num_workers)

    @override
    def _tokenise(self, source: TextSource) -> TokenFile:
        vocabulary = self._tokenizer()
        template = chat_template(self.chat_template, vocabulary.backend)
        pairs = PairTokenizer(vocabulary, template, "last")
        return tokenised(source, pairs, self.cache, self.max_bad_rate)

    @override
    def _pack_one(self, source: TextSource, file: TokenFile) -> Rows:
        """Each conversation as a row of its own; of a pair both are kept, or none."""
        lengths = file.lengths
        is_long_P = lengths.reshape(-1, 2).max(1) > self.row_length
        if self.long_samples == "error" and is_long_P.any():
            refuse_long(source, lengths.reshape(-1, 2).max(1), self.row_length)
        is_kept_P = self._are_kept(file) & ~(is_long_P & (self.long_samples == "drop"))
        if is_long_P.any():
            rank_zero_only(print)(
                f"{source.name}: {is_long_P.sum():,} of {len(is_long_P):,} pairs are longer than "
                f"{self.row_length} tokens: {(is_long_P & is_kept_P).sum():,} are cut, "
                f"{(~is_kept_P).sum():,} dropped"
            )
        if not is_kept_P.any():
            raise ValueError(
                f"{source.name}: no pair has two answers within {self.row_length} tokens: make "
                f"row_length at least {lengths.max()}."
            )
        document = np.flatnonzero(np.repeat(is_kept_P, 2))
        stop = np.minimum(lengths[document], self.row_length)
        num_dropped = int((~is_kept_P).sum())
        row_start = np.arange(len(document) + 1)
        return Rows(document, np.zeros_like(stop), stop, row_start, num_dropped)

    def _are_kept(self, file: TokenFile) -> NDArray[np.bool_]:
        """Which pairs have two answers, and different ones, within a row."""
        begin = file.offsets[:-1]
        kept = np.minimum(file.lengths, self.row_length)
        is_kept_P = targets_within(file, begin, begin + kept).reshape(-1, 2).min(1) > 0
        for pair in np.flatnonzero(kept.reshape(-1, 2).min(1) == self.row_length).tolist():
            first, second = begin[2 * pair : 2 * pair + 2].tolist()
            ours, theirs = (file.tokens[at : at + self.row_length] for at in (first, second))
            is_kept_P[pair] &= not np.array_equal(ours, theirs)
        return is_kept_P

    def _describe(self) -> None:
        """Print size and share of every training source, and the length of an epoch."""
        sources, pairs = self.sources["train"], self._pairs["train"]
        draws = Mixture(pairs.sizes, [source.weight for source in sources]).draws
        names = distinct([source.name for source in sources])
        for name, size, drawn in zip(names, pairs.sizes, draws, strict=True):
            rank_zero_only(print)(f"{name}: {size:,} pairs; share {drawn / sum(draws):.1%}")
        rank_zero_only(print)(self._length(len(pairs), "pairs"))
