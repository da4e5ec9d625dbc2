"""Graph problems as a dataset of reasoning-gym, and its problems as questions of ours.

    import datamodules.graphs.bridges.gym          # registers the dataset
    reasoning_gym.create_dataset("nlgift", of=Distribution("shortest_path"), size=100, seed=0)

The package is in a dependency group of its own: `uv run --group gym python ...`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, get_args

from typing_extensions import override

from datamodules.graphs.bridges.path_star import retold
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.problem import FIELD
from datamodules.questions.source import Question, QuestionSource
from datamodules.stream.checks import check_bounds, check_choice

try:
    from reasoning_gym import create_dataset, get_score_answer_fn, register_dataset
    from reasoning_gym.factory import DATASETS, ProceduralDataset
except ModuleNotFoundError as error:
    if not str(error.name).startswith("reasoning_gym"):
        raise
    raise ModuleNotFoundError(
        "reasoning-gym is not installed: run the same command by `uv run --group gym ...`",
        name=error.name,
    ) from None

NAME = "nlgift"
"""Our dataset there."""
ENTRY = "entry"
"""The field of a question that holds an entry of a dataset, as JSON."""
PATH_STAR = "path_star"
VERSION = version("reasoning-gym")
"""Results of another version are not compared."""


@dataclass
class GraphProblemsConfig:
    """Which problems a dataset holds.

    Attributes:
        of: The distribution.
        split: Whose graphs they have.
        size: Number of problems.
        seed: Of the problems; drawn where None.
    """

    of: Distribution = field(default_factory=lambda: Distribution(ask="format"))
    split: Split = "train"
    size: int = 500
    seed: int | None = None

    def validate(self) -> None:
        """Check the options."""
        check_choice("split", self.split, get_args(Split))
        check_bounds({"size": self.size}, {"size": 1})


class GraphProblems(ProceduralDataset):
    """Problems of a distribution; answers are scored by our exact checker.

    Args:
        config: Which problems.
    """

    config: GraphProblemsConfig

    def __init__(self, config: GraphProblemsConfig):
        super().__init__(config=config, seed=config.seed, size=config.size)

    @override
    def __getitem__(self, idx: int) -> dict[str, Any]:
        """A problem with a right answer; of several right ones, all are scored 1."""
        of = self.config.of
        problem = of.problem(self.seed, self.config.split, idx)
        difficulty = {
            "effort": of.solver.effort(problem),
            "nodes": problem.graph.num_nodes,
            "edges": len(problem.graph.edges),
        }
        metadata = {"source_dataset": NAME, "source_index": idx, "difficulty": difficulty}
        known = {FIELD: problem.to_json(), "set": f"{':'.join(of)}:{of.behaviour}"}
        return {
            "question": of.prompt(problem),
            "answer": of.solver.answer(problem),
            "metadata": metadata | known,
        }

    @override
    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        """1 for a right answer, else 0."""
        if not isinstance(answer, str):
            return 0.0
        return float(GraphAnswer().check(entry["metadata"], answer)["right"])


if NAME not in DATASETS:
    register_dataset(NAME, GraphProblems, GraphProblemsConfig)


class GymQuestions(QuestionSource):
    """Problems of a dataset of reasoning-gym, as a test set that no distribution of ours has.

    Args:
        num: Number of problems.
        dataset: Its name there.
        seed: Seed of the problems.
        options: Of the dataset's config.
        form: Form of shortest paths in which `path_star` is told in our words, each edge of weight
            1, so that models that are tuned on them can read it; in its own words where None.

    Raises:
        ValueError: `num` is below 1, there is no such dataset, it has no such options, or a form is
            given to another one than `path_star`.
    """

    def __init__(
        self,
        num: int,
        dataset: str = PATH_STAR,
        seed: int = 0,
        options: dict[str, int | float | bool | str] | None = None,
        form: str | None = None,
    ):
        check_bounds({"num": num}, {"num": 1})
        if form is not None and dataset != PATH_STAR:
            raise ValueError(f"only {PATH_STAR} is told in forms of ours, not {dataset}")
        self.num, self.dataset, self.seed, self.form = num, dataset, seed, form
        self.options = options or {}
        try:
            self.made = create_dataset(dataset, size=num, seed=seed, **self.options)
        except (AssertionError, TypeError) as error:
            raise ValueError(f"{dataset} of reasoning-gym: {error}") from error

    @property
    @override
    def name(self) -> str:
        options = [f"{key}={value}" for key, value in sorted(self.options.items())]
        told = [self.form] if self.form else []
        return ":".join(["gym", self.dataset, *told, *options, str(self.seed)])

    @override
    def questions(self) -> Iterator[Question]:
        for index in range(self.num):
            entry = self.made[index]
            fields, answer = told(entry) if self.form is None else retold(entry, self.form)
            name = f"{self.name}:{index + 1}"
            yield Question(name, name, fields | {"set": f"{self.name}:{VERSION}"}, [answer])


def told(entry: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """The fields of a question in its own words, and its answer."""
    return {"question": entry["question"], ENTRY: json.dumps(entry)}, entry["answer"]


class GymAnswer(GraphAnswer):
    """Judges answers to problems of reasoning-gym by its own scores, and those of ours by ours.

    An answer with a score of 1 is `right`, an empty one `unparsed`, any other `wrong`; `points`
    are what the dataset gives.
    """

    @override
    def check(self, question: Mapping[str, str], answer: str) -> dict[str, Any]:
        """What an answer is worth."""
        if ENTRY not in question:
            return super().check(question, answer)
        entry = json.loads(question[ENTRY])
        score = float(get_score_answer_fn(entry["metadata"]["source_dataset"])(answer, entry))
        verdict = "right" if score == 1 else "wrong" if answer.strip() else "unparsed"
        return {"verdict": verdict, "right": float(score == 1), "points": score}
