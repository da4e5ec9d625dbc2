"""Graph problems to learn from, and problems that are asked in words beside."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from datamodules.graphs.bridges.harness import export_sets
from datamodules.graphs.inputs import GraphFile, question_of
from datamodules.graphs.questions import NamedSet
from datamodules.instructions.datamodule import InstructionData
from datamodules.questions.source import Question, QuestionSource, sound_questions
from datamodules.stream.loader import Batch, EvaluationLoader
from datamodules.text.prompts import Prompts


class GraphData(InstructionData):
    """Conversations as in `InstructionData`, with problems that are asked beside them.

    Args:
        tasks: What `validate` and `test` ask, by name.
        validate_tasks: Names of the tasks that `validate` asks; all where None.
        graphs: Questions about graphs of files, which `predict` asks in place of the prompts.
        options: Of `InstructionData`; the prompts of `predict` are problems in words, and those
            of a known form get a verdict.

    Raises:
        ValueError: `validate_tasks` names an unknown task.
    """

    def __init__(
        self,
        tasks: dict[str, list[QuestionSource]] | None = None,
        validate_tasks: list[str] | None = None,
        graphs: list[GraphFile] | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.task_sources = tasks or {}
        self.validate_tasks = validate_tasks
        self.graphs = graphs or []
        if unknown := set(validate_tasks or ()) - set(self.task_sources):
            known = ", ".join(self.task_sources) or "none"
            raise ValueError(f"validate_tasks: {', '.join(unknown)}; there are {known}")

    @cached_property
    def tasks(self) -> dict[str, list[Question]]:
        """The questions of each task."""
        return {
            name: sound_questions(sources, self.max_bad_rate)
            for name, sources in self.task_sources.items()
        }

    def asked(self, stage: str) -> Mapping[str, list[Question]]:
        """The tasks of `validate` or `test`."""
        if stage == "test" or self.validate_tasks is None:
            return self.tasks
        return {name: self.tasks[name] for name in self.validate_tasks}

    def prompt_ids(self, question: Mapping[str, str]) -> list[int]:
        """Token ids of the prompt of a question, up to where its answer begins."""
        return self.chat.prompt([{"role": "user", "content": question["question"]}])

    def export_tasks(self, folder: Path, prompt: str, max_new_tokens: int) -> Iterator[str]:
        """Write what `test` asks as tasks of the lm-evaluation-harness; yields lines to show."""
        sets = {name: NamedSet(name, sources) for name, sources in self.task_sources.items()}
        return export_sets(sets, folder, prompt, max_new_tokens)

    @override
    def predict_dataloader(self) -> EvaluationLoader:
        ids = [self.prompt_ids(one) for one in self.inputs]
        return self._evaluation(GraphPrompts(self.inputs, ids, self.chat.vocabulary.pad))

    @cached_property
    def inputs(self) -> list[Mapping[str, str]]:
        """The fields of the questions of `predict`."""
        if self.graphs:
            return [one.question() for one in self.graphs]
        return [question_of(text) for text in self.wanted]

    @override
    def prepare_data(self) -> None:
        super().prepare_data()
        if self._command() == "predict":
            _ = self.inputs
        _ = self.tasks  # errors in them come before any weights are loaded


class GraphPrompts(Prompts):
    """Prompts as `Prompts`, each batch with the `question` fields of its prompts.

    Args:
        questions: Fields of each question.
        ids: Token ids of each prompt.
        pad: Id of the padding on the left.
    """

    def __init__(self, questions: list[Mapping[str, str]], ids: list[list[int]], pad: int):
        super().__init__([one["question"] for one in questions], ids, pad)
        self.questions = questions

    @override
    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        found = super().batch(ids, num_real)
        chosen = ids[: max(1, num_real)].tolist()
        return found | {"question": [dict(self.questions[index]) for index in chosen]}
