"""Language models tuned on graph problems and asked others."""

from typing import Any, NotRequired, cast

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import AdamW
from typing_extensions import override

from modules.base.system import System, constant
from modules.causal_lm.generate import Generation
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import PromptBatch
from modules.graph.asking import AskedLM, Checker
from modules.graph.picture import graph_picture
from modules.nn.builder import Builder

GREEDY = Generation(max_new_tokens=128, temperature=0.0)
"""The most likely tokens."""


class AskedPrompts(PromptBatch):
    """Prompts of questions.

    Attributes:
        question: The fields of each question; missing where prompts are texts alone.
    """

    question: NotRequired[list[dict[str, str]]]


class GraphLM(AskedLM):
    """Tune a language model on answers to problems, and ask it problems of any distribution.

    `validate` and `test` ask the tasks of the data beside what `CausalLM` measures.

    Args:
        network: Builds the language model from the size of the tokenizer.
        tokenizer: Local folder or hub id; the same as the data's.
        checker: Judges the answers.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule from that optimizer.
        generation: How answers are written.
        compile: Whether to compile the network with torch.compile.
        asks_per_batch: Questions that are answered together.
    """

    def __init__(
        self,
        network: Builder[[int], LanguageModel],
        tokenizer: str,
        checker: Checker,
        optimizer: OptimizerCallable = AdamW,
        scheduler: LRSchedulerCallable = constant,
        generation: Generation = GREEDY,
        compile: bool = False,
        asks_per_batch: int = 64,
    ):
        super().__init__(network, tokenizer, optimizer, scheduler, generation, compile)
        self.checker = checker
        self.asks_per_batch = asks_per_batch

    validated = System.validated  # the tasks are known to the data alone

    @override
    def on_validation_epoch_end(self) -> None:
        """Log what `CausalLM` measures, and how each task is answered."""
        super().on_validation_epoch_end()
        self.ask("validate")

    @override
    def predict_step(self, batch: PromptBatch, batch_idx: int) -> list[dict[str, Any]]:
        """Answer problems: each record holds the verdict and a picture where the graph is known."""
        records: list[dict[str, Any]] = [*super().predict_step(batch, batch_idx)]
        questions = cast(AskedPrompts, batch).get("question", [])
        for record, question in zip(records, questions, strict=False):
            answer = record["continuation"]
            shown = self.checker.shown(question, answer)
            if shown:
                record["verdict"] = self.checker.check(question, answer)["verdict"]
                record["right_answer"] = shown.pop("right_answer")
                record["picture"] = graph_picture(**shown)
        return records

    @override
    def on_test_epoch_end(self) -> None:
        """Log what `CausalLM` measures, and how each task is answered."""
        super().on_test_epoch_end()
        self.ask("test")
