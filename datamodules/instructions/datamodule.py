"""Conversations for instruction tuning, with the loss on answers only.

It trains chat models, experts for proxy-tuning, and models that read tables or graphs as text or
that answer after demonstrations: any task with a question and an answer in text.

A training batch is that of `datamodules.text`: whole conversations are packed into rows, none sees
another, and `label_BL` is -100 except at tokens of answers; `num_bytes` counts answers only.
A prediction batch is that of `datamodules.text` too; its prompts are first turns of a user.
"""

from dataclasses import replace
from functools import cached_property
from typing import Literal, NoReturn

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.instructions.source import ConversationSource
from datamodules.instructions.templates import chat_template
from datamodules.instructions.tokenizer import ChatTokenizer, Learn
from datamodules.stream.loader import EvaluationLoader
from datamodules.text.datamodule import TextData
from datamodules.text.packing import Rows, best_fit
from datamodules.text.prompts import Prompts
from datamodules.text.rows import targets_within
from datamodules.text.source import TextSource
from datamodules.text.token_cache import origin, tokenised
from datamodules.text.token_file import TokenFile

LongSamples = Literal["cut", "drop", "error"]


class InstructionData(TextData):
    """Conversations of one source or a weighted mixture, tokenised once, packed and shuffled.

    Args:
        tokenizer: Folder or hub name of a tokenizer.
        train: Sources of training conversations; each gets rows in proportion to its weight.
        validate: Sources of validation conversations, read once from start to end.
        test: Sources of test conversations, likewise.
        chat_template: Template of a conversation: None for the tokenizer's own; else `plain`
            (headings) or `chatml`, a `.jinja` file, or a template itself.
        learn: Whether all answers of a conversation are targets, only the last one, or the whole
            text, questions included.
        row_length: Tokens of a row.
        long_samples: What happens to a conversation longer than a row: it is truncated, and
            dropped if no answer is left; or it is dropped; or the run stops.
        batch_size: Rows per device and micro-batch.
        eval_batch_size: The same outside of training; None takes `batch_size`.
        num_workers: Processes that build batches; 0 builds them in the training process.
        cache: Folder for the tokenised text.
        seed: Seed of the order of the rows; independent of the trainer's.
        prompts: Prompts of predict: texts, or a file of them; each is a first turn of the user.
        max_bad_rate: Share of unusable conversations in a source above which the run stops.

    Raises:
        ValueError: A size is too small, a weight is not positive or there is no training source.
    """

    def __init__(
        self,
        tokenizer: str,
        train: list[ConversationSource],
        validate: list[ConversationSource] | None = None,
        test: list[ConversationSource] | None = None,
        chat_template: str | None = None,
        learn: Learn = "all",
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
            train=list(train),
            validate=list(validate or []),
            test=list(test or []),
            row_length=row_length,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            cache=cache,
            seed=seed,
            prompts=prompts,
            max_bad_rate=max_bad_rate,
        )
        self.chat_template = chat_template
        self.learn = learn
        self.long_samples = long_samples

    @cached_property
    def chat(self) -> ChatTokenizer:
        """The tokenizer with its template, read when first needed.

        Raises:
            ValueError: There is no template.
        """
        vocabulary = self._tokenizer()
        template = chat_template(self.chat_template, vocabulary.backend)
        return ChatTokenizer(vocabulary, template, self.learn)

    @override
    def predict_dataloader(self) -> EvaluationLoader:
        prompts = self.wanted
        ids = [self.chat.prompt([{"role": "user", "content": text}]) for text in prompts]
        return self._evaluation(Prompts(prompts, ids, self.chat.vocabulary.pad))

    @override
    def _tokenise(self, source: TextSource) -> TokenFile:
        return tokenised(source, self.chat, self.cache, self.max_bad_rate)

    @override
    def _pack_one(self, source: TextSource, file: TokenFile) -> Rows:
        lengths = file.lengths
        is_long = lengths > self.row_length
        if self.long_samples == "error" and is_long.any():
            refuse_long(source, lengths, self.row_length)
        kept = np.minimum(lengths, self.row_length)
        begin = file.offsets[:-1]
        has_answer = targets_within(file, begin, begin + kept) > 0
        is_dropped = ~has_answer | (is_long & (self.long_samples == "drop"))
        if is_long.any():
            rank_zero_only(print)(
                f"{source.name}: {is_long.sum():,} of {len(lengths):,} conversations are longer "
                f"than {self.row_length} tokens: {(is_long & ~is_dropped).sum():,} are cut, "
                f"{is_dropped.sum():,} dropped"
            )
        if is_dropped.all():
            raise ValueError(
                f"{source.name}: no conversation has an answer within {self.row_length} tokens: "
                f"make row_length at least {lengths.max()}."
            )
        rows = best_fit(np.where(is_dropped, 0, kept), self.row_length)
        return replace(rows, num_dropped=int(is_dropped.sum()))


def refuse_long(source: TextSource, lengths: NDArray[np.int64], row_length: int) -> NoReturn:
    """Refuse a sample that is longer than a row, with the options to change.

    Args:
        source: Where it is from.
        lengths: Tokens of each sample; one of them is longer.
        row_length: Tokens of a row.

    Raises:
        ValueError: Always.
    """
    first = int(np.argmax(lengths > row_length))
    raise ValueError(
        f"{origin(source, first)} has {lengths[first]} tokens, but a row holds {row_length}. Make "
        f"row_length at least {lengths.max()}, or set long_samples to cut or drop."
    )
