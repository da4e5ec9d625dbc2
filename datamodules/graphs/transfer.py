"""Train on one distribution of problems, test on every one of an axis."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from typing_extensions import override

from datamodules.graphs.conversations import Answers, GraphConversations
from datamodules.graphs.datamodule import GraphData
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.graphs.questions import GraphQuestions
from datamodules.instructions.source import ConversationSource
from datamodules.questions.source import Question, QuestionSource
from datamodules.stream.checks import check_bounds

UNTUNED = "untuned"
"""In place of a distribution: answers of other problems, of all distributions alike."""


HELD_OUT: tuple[Split, Split] = ("validate", "test")
"""Splits of the problems that are not trained on."""


class TransferData(GraphData):
    """Distributions that differ in a few options; a model is tuned on some, and asked of all.

    Train, validate and test are problems of different splits: no two graphs of two splits are
    isomorphic. A test set holds the same problems for whatever a model was tuned on.

    Args:
        variants: The distributions of the axis: by name, the options that differ from `of`.
        trained_on: Names of the variants that are trained on, in equal shares. `untuned` alone
            trains on all of them with the answers of other problems: the form of an answer is
            learned, the task is not.
        of: What all of them share.
        num_train: Problems to train on, of all variants together.
        num_test: Problems of each test set.
        num_validate: Problems of each variant that is trained on, to validate; the loss of `test`
            is that of as many of the test split.
        problem_seed: Seed of the problems.
        more: Other conversations to mix in, such as code, by their weights; all problems together
            have the weight 1.
        options: Of `GraphData`.

    Raises:
        ValueError: A variant has an option that no distribution has, or is not among them, or a
            number is too small.
    """

    def __init__(
        self,
        variants: dict[str, dict[str, Any]],
        trained_on: list[str],
        of: Distribution = Distribution(),  # noqa: B008 - frozen
        num_train: int = 500,
        num_test: int = 500,
        num_validate: int = 50,
        problem_seed: int = 0,
        more: list[ConversationSource] | None = None,
        **options: Any,
    ):
        sizes = {"num_train": num_train, "num_test": num_test, "num_validate": num_validate}
        check_bounds(sizes, dict.fromkeys(sizes, 1))
        found = {name: varied(of, name, changed) for name, changed in variants.items()}
        chosen = list(found) if trained_on == [UNTUNED] else trained_on
        if unknown := [name for name in chosen if name not in found]:
            raise ValueError(
                f"trained_on: {', '.join(unknown)}; there are {', '.join(found)}, or [{UNTUNED}]"
            )
        share = max(1, num_train // max(1, len(chosen)))
        answers: Answers = "shuffled" if trained_on == [UNTUNED] else "right"
        train = [
            GraphConversations(share, found[name], problem_seed, "train", answers, 1 / len(chosen))
            for name in chosen
        ]
        validate, test = (
            [GraphConversations(num_validate, found[name], problem_seed, split) for name in chosen]
            for split in HELD_OUT
        )
        super().__init__(
            tasks=test_sets(found, num_test, problem_seed),
            train=[*train, *(more or [])],
            validate=[*validate],
            test=[*test],
            **options,
        )
        self.chosen = {name: found[name] for name in chosen}
        self.num_validate, self.problem_seed = num_validate, problem_seed

    @override
    def asked(self, stage: str) -> Mapping[str, list[Question]]:
        """All test sets; `validate` asks other problems of the variants that are trained on."""
        return self.tasks if stage == "test" else self.validation_tasks

    @cached_property
    def validation_tasks(self) -> dict[str, list[Question]]:
        """Problems of the validation split."""
        return {
            name: [
                *GraphQuestions(self.num_validate, one, self.problem_seed, "validate").questions()
            ]
            for name, one in self.chosen.items()
        }


def test_sets(
    found: Mapping[str, Distribution], num: int, seed: int
) -> dict[str, list[QuestionSource]]:
    """The test set of each distribution; what it trains on as a rationale changes no question."""
    return {
        name: [GraphQuestions(num, replace(one, rationale="none"), seed)]
        for name, one in found.items()
    }


def varied(of: Distribution, name: str, changed: Mapping[str, Any]) -> Distribution:
    """A distribution with some options changed.

    Raises:
        ValueError: There is no such option.
    """
    options: dict[str, Any] = {
        key: tuple(one) if isinstance(one, list) else one for key, one in changed.items()
    }
    try:
        return replace(of, **options)
    except TypeError as error:
        raise ValueError(f"variant {name}: {error}") from error
