"""Graph problems as questions: for tests in words, with exact answers."""

from collections.abc import Iterator

from typing_extensions import override

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.graphs.problem import FIELD
from datamodules.questions.source import Question, QuestionSource
from datamodules.stream.checks import check_bounds


class GraphQuestions(QuestionSource):
    """Problems of a distribution.

    A question has the fields `question`, the problem in words; `query`, what is asked without the
    graph; `problem`, the problem itself, which the checker reads; and `set`, the distribution with
    its behaviour hash: results of another set are not compared. Its reference is the right answer,
    of several one.

    Args:
        num: Number of problems.
        of: The distribution.
        seed: Seed of the problems.
        split: Whose graphs they have: no graph of one split is isomorphic to one of another.

    Raises:
        ValueError: `num` is below 1.
    """

    def __init__(
        self,
        num: int,
        of: Distribution = Distribution(),  # noqa: B008 - frozen
        seed: int = 0,
        split: Split = "test",
    ):
        check_bounds({"num": num}, {"num": 1})
        self.num = num
        self.of = of
        self.seed = seed
        self.split: Split = split

    @property
    @override
    def name(self) -> str:
        return f"{':'.join(self.of)}:{self.split}:{self.seed}"

    @override
    def questions(self) -> Iterator[Question]:
        known = f"{self.name}:{self.of.behaviour}"
        for index in range(self.num):
            problem = self.of.problem(self.seed, self.split, index)
            told = {"question": self.of.prompt(problem), "query": self.of.wording.query(problem)}
            fields = {**told, FIELD: problem.to_json(), "set": known}
            name = f"{self.name}:{index + 1}"
            yield Question(name, name, fields, [self.of.solver.answer(problem)])
