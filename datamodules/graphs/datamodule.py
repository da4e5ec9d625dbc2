"""Graph problems to learn from, and problems that are asked in words beside."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from typing_extensions import override

from datamodules.instructions.datamodule import InstructionData
from datamodules.questions.source import Question, QuestionSource
from datamodules.records.row_tally import RowTally


class GraphData(InstructionData):
    """Conversations as in `InstructionData`, with problems that are asked beside them.

    Args:
        tasks: What `validate` and `test` ask, by name.
        validate_tasks: Names of the tasks that `validate` asks; all where None.
        options: Of `InstructionData`.

    Raises:
        ValueError: `validate_tasks` names an unknown task.
    """

    def __init__(
        self,
        tasks: dict[str, list[QuestionSource]] | None = None,
        validate_tasks: list[str] | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.task_sources = tasks or {}
        self.validate_tasks = validate_tasks
        if unknown := set(validate_tasks or ()) - set(self.task_sources):
            known = ", ".join(self.task_sources) or "none"
            raise ValueError(f"validate_tasks: {', '.join(unknown)}; there are {known}")

    @cached_property
    def tasks(self) -> dict[str, list[Question]]:
        """The questions of each task."""
        return {name: self._questions(sources) for name, sources in self.task_sources.items()}

    def asked(self, stage: str) -> Mapping[str, list[Question]]:
        """The tasks of `validate` or `test`."""
        if stage == "test" or self.validate_tasks is None:
            return self.tasks
        return {name: self.tasks[name] for name in self.validate_tasks}

    def prompt_ids(self, question: Mapping[str, str]) -> list[int]:
        """Token ids of the prompt of a question, up to where its answer begins."""
        return self.chat.prompt([{"role": "user", "content": question["question"]}])

    def _questions(self, sources: list[QuestionSource]) -> list[Question]:
        return [
            question
            for source in sources
            for question in RowTally().sift(source.questions(), self.max_bad_rate, source.name)
        ]

    @override
    def prepare_data(self) -> None:
        super().prepare_data()
        _ = self.tasks  # errors in them come before any weights are loaded
