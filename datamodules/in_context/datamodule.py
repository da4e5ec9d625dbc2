"""Text to continue pretraining on, tasks to learn in context, and a pool to select from."""

from functools import cached_property
from typing import Any

from typing_extensions import override

from datamodules.in_context.pool import DocumentPool
from datamodules.questions.source import Question, QuestionSource, sound_questions
from datamodules.text.datamodule import TextData
from datamodules.text.source import TextSource


class InContextData(TextData):
    """Text as in `TextData`, with tasks that are measured beside it.

    Args:
        pool: Sources of the documents that `select` chooses from.
        target: The task whose in-context loss they are to lower.
        tasks: What `validate` and `test` ask, by name. Each question has a field `prompt`.
        options: Of `TextData`.
    """

    def __init__(
        self,
        pool: list[TextSource] | None = None,
        target: list[QuestionSource] | None = None,
        tasks: dict[str, list[QuestionSource]] | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.pool_sources = pool or []
        self.target_sources = target or []
        self.task_sources = tasks or {}

    @cached_property
    def pool(self) -> DocumentPool:
        """The documents to select from.

        Raises:
            ValueError: There are none.
        """
        if not self.pool_sources:
            raise ValueError("there is nothing to select from: give data.init_args.pool a source.")
        return DocumentPool(
            self.pool_sources, self._tokenizer(), self.cache, self.row_length, self.max_bad_rate
        )

    @cached_property
    def target(self) -> list[Question]:
        """The questions whose loss the selected documents are to lower.

        Raises:
            ValueError: There are none.
        """
        if not self.target_sources:
            raise ValueError("there is no task to select for: give data.init_args.target a source.")
        return sound_questions(self.target_sources, self.max_bad_rate)

    @cached_property
    def tasks(self) -> dict[str, list[Question]]:
        """The questions of each task."""
        return {
            name: sound_questions(sources, self.max_bad_rate)
            for name, sources in self.task_sources.items()
        }

    @override
    def prepare_data(self) -> None:
        super().prepare_data()
        _ = self.tasks  # errors in them come before any weights are loaded
