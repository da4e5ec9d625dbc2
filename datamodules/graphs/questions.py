"""Graph problems as questions: for tests in words, with exact answers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from typing_extensions import override

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.graphs.problem import FIELD
from datamodules.questions.source import Question, QuestionSource
from datamodules.records.document import BadSample
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


class NamedSet(QuestionSource):
    """A test set: sources whose questions know its name and their number.

    Args:
        task: Its name.
        sources: Of its questions.
    """

    def __init__(self, task: str, sources: list[QuestionSource]):
        self.task = task
        self.sources = sources

    @property
    @override
    def name(self) -> str:
        return self.task

    @override
    def questions(self) -> Iterator[Question | BadSample]:
        number = 0
        for source in self.sources:
            for one in source.questions():
                if isinstance(one, BadSample):
                    yield one
                    continue
                known: Mapping[str, str] = {"task": self.task, "number": str(number)}
                yield replace(one, fields={**one.fields, **known})
                number += 1
