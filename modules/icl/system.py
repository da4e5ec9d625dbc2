"""Language models that learn in context: continued pretraining, evaluation, selection."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import AdamW
from typing_extensions import override

from modules.base.rank_share import RankShare
from modules.base.system import System, constant
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import CausalLM
from modules.icl.examination import KernelCheck, examine
from modules.icl.in_context import InContextBatch, LabelBias, Scored, scored, summarise
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.orca import Found, Orca, write_results
from modules.icl.selection.pool import Asked, SelectionData
from modules.icl.selection.report import report
from modules.nn.builder import Builder


class InContextLM(CausalLM):
    """Train a language model, ask it tasks in context, and select documents that support one.

    `validate` and `test` ask the tasks of the data beside what `CausalLM` measures.

    Args:
        network: Builds the language model from the size of the tokenizer.
        tokenizer: Local folder or hub id; the same as the data's.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How `predict` and the samples drawn while training choose tokens.
        compile: Whether to compile the network with torch.compile.
        selection: How `select` chooses documents.
        label_bias: What is done about label words that are likely whatever is asked.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        optimizer: OptimizerCallable = AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = Generation(),  # noqa: B008 - frozen
        compile: bool = False,
        selection: SelectionOptions = SelectionOptions(),  # noqa: B008 - frozen
        label_bias: LabelBias = "none",
    ):
        super().__init__(network, tokenizer, optimizer, scheduler, generation, compile)
        self.selection = selection
        self.label_bias: LabelBias = label_bias

    # Evaluation

    validated = System.validated  # the tasks are known to the data alone

    @override
    def on_validation_epoch_end(self) -> None:
        """Log what `CausalLM` measures, and how well each task is answered."""
        super().on_validation_epoch_end()
        self._log_tasks("validate")

    @override
    def on_test_epoch_end(self) -> None:
        """Log what `CausalLM` measures, and how well each task is answered."""
        super().on_test_epoch_end()
        self._log_tasks("test")

    def tasks(self) -> Mapping[str, Sequence[Asked]]:
        """The tasks of the data, by name; none where they have none."""
        found: Mapping[str, Sequence[Asked]]
        found = getattr(getattr(self.trainer, "datamodule", None), "tasks", {})
        return found

    def _log_tasks(self, stage: str) -> None:
        for name, asked in self.tasks().items():
            result = summarise(self._answered(asked), self.label_bias)
            row = {"accuracy": result.accuracy, "loss": result.loss}
            self.report({f"{stage}/{name}/{what}": value for what, value in row.items()})

    def _answered(self, asked: Sequence[Asked]) -> list[Scored]:
        """All questions with the likelihood of their label words.

        Ranks share the batches, not the questions: batches of as many questions may be more or
        fewer, and ranks that shard weights have to read equally many.
        """
        batch: InContextBatch = {
            "id": [one.id for one in asked],
            "question": [dict(one.fields) for one in asked],
            "choices": [list(one.choices) for one in asked],
            "answer": [one.answer for one in asked],
        }
        share = RankShare(self.data_rank, self.num_ranks)
        known = self.language_model, self.tokenizer
        return scored(*known, batch, self.label_bias, share=share)

    # Examination and selection

    def examine(self) -> Iterator[KernelCheck]:
        """Check that documents are scored in a batch as alone, by every kernel and dtype."""
        return examine(self.language_model, self.selection)

    def select(self, datamodule: Any, folder: Path) -> Iterator[str]:
        """Select documents of the data's pool; yields lines to show.

        Args:
            datamodule: A `SelectionData`.
            folder: Where the results go, and the scores on the way.

        Raises:
            TypeError: The data have no pool.
            ValueError: As `Orca`.
        """
        if not isinstance(datamodule, SelectionData):
            raise TypeError(f"{type(datamodule).__name__} has no pool to select from")
        pool, target = datamodule.pool, datamodule.target
        share = RankShare(self.data_rank, self.num_ranks)
        wait = self.trainer.strategy.barrier
        orca = Orca(self.language_model, self.tokenizer, pool, target, self.selection, share, wait)
        yield f"{len(pool.ids):,} documents, {len(target):,} questions of the task"
        found = Found()
        for number, found in enumerate(orca.select(folder), 1):
            yield from report(found, pool, number)
        if share.rank == 0:
            path = write_results(found, pool, folder)
            yield f"selected     {path}"
            yield f"to read      {folder / 'documents.html'}"
