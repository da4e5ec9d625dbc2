"""Test sets of graph problems alone: for models that are asked and not trained.

A batch is that of `datamodules.questions.datamodule`. Beside the fields of its source, each
question has `task`, the name of its test set, and `number`, its place in it, from 0 on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.graphs.bridges.harness import export_sets
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.questions import NamedSet
from datamodules.graphs.transfer import test_sets, varied
from datamodules.questions.datamodule import QuestionData
from datamodules.questions.source import QuestionSource
from datamodules.stream.checks import check_bounds


class AskedGraphs(QuestionData):
    """Test sets that differ in a few options, the same problems as those of `TransferData`.

    Args:
        variants: The distributions of an axis: by name, the options that differ from `of`.
        of: What all of them share.
        num_test: Problems of each test set.
        problem_seed: Seed of the problems.
        tasks: Other test sets by name, such as real questions.
        options: Of `QuestionData`, but for its sources.

    Raises:
        ValueError: A variant has an option that no distribution has, a number is too small, two
            test sets have one name, or there is none.
    """

    def __init__(
        self,
        variants: dict[str, dict[str, Any]] | None = None,
        of: Distribution = Distribution(ask="format"),  # noqa: B008 - frozen
        num_test: int = 500,
        problem_seed: int = 0,
        tasks: dict[str, list[QuestionSource]] | None = None,
        **options: Any,
    ):
        check_bounds({"num_test": num_test}, {"num_test": 1})
        found = {name: varied(of, name, changed) for name, changed in (variants or {}).items()}
        if twice := set(found) & set(tasks or ()):
            raise ValueError(f"{', '.join(sorted(twice))} is named in variants and in tasks")
        sets = test_sets(found, num_test, problem_seed) | (tasks or {})
        self.test_sets: dict[str, QuestionSource] = {
            name: NamedSet(name, sources) for name, sources in sets.items()
        }
        named = [*self.test_sets.values()]
        super().__init__(test=named, predict=named, **options)

    def export_tasks(self, folder: Path, prompt: str, max_new_tokens: int) -> Iterator[str]:
        """Write the test sets as tasks of the lm-evaluation-harness; yields lines to show."""
        return export_sets(self.test_sets, folder, prompt, max_new_tokens)
