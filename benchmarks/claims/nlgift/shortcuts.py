"""What is known of the answer without solving the problem: the floor of every table.

A logistic regression reads the numbers of nodes and edges, degrees of the asked nodes, how often
and where the text mentions them, and its length. Where it does well, a model may do well without
reasoning. Beside it stands the most frequent answer of training.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.bench.harness import Bench
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.draw.splits import Split
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import find_task

NUM, QUICK = 2000, 60
"""Problems of training, and of the test."""
FLOOR = 0.55
"""Greatest accuracy of a shortcut on connectivity."""
YES_NO = ("connectivity", "cycle")
FEW = 200
"""Problems of either split where only the most frequent value is counted."""
FREQUENT = ("shortest_path", "max_flow", "edge_weight")
"""Tasks whose answer is a number."""


@dataclass(frozen=True)
class Floor:
    """What shortcuts reach on one distribution.

    Attributes:
        task: The task.
        structure: The distribution of graphs.
        shortcut: Accuracy of the regression; None where answers are no classes.
        majority: Accuracy of the most frequent answer of training.
        half: Half of a 95 % interval of an accuracy, in the middle.
    """

    task: str
    structure: str
    shortcut: float | None
    majority: float
    half: float


def shortcuts(bench: Bench) -> None:
    """Regressions for yes and no, the most frequent value for numbers."""
    num = QUICK if bench.quick else NUM
    floors = list[Floor]()
    for task, structure in pairs():
        floors.append(floor(task, structure, num if task in YES_NO else min(num, FEW)))
        bench.say(str(floors[-1]))
        add_row(bench, floors[-1])
    bench.details["shortcuts"] = [asdict(one) for one in floors]


def pairs() -> Iterator[tuple[str, str]]:
    """Every structure of every task that is measured."""
    for task in (*YES_NO, *FREQUENT):
        for structure in find_task(task).topologies:
            yield task, structure


def add_row(bench: Bench, one: Floor) -> None:
    """A row: the shortcut where there is one, with the majority as its peer."""
    name = f"{one.task}, {one.structure}"
    if one.shortcut is None:
        bench.row(4, f"{name}: accuracy of the most frequent value", one.majority, FLOOR)
        return
    bench.row(4, f"{name}: accuracy of shortcuts", one.shortcut, FLOOR, peer=one.majority)


def table(floors: Sequence[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Task, structure, shortcut and majority of each floor of a results file, in percent."""
    return [
        (one["task"], one["structure"], percent(one["shortcut"]), percent(one["majority"]))
        for one in floors
    ]


def percent(value: float | None) -> str:
    """A share as a table shows it."""
    return "-" if value is None else f"{100 * value:.1f}"


def floor(task: str, structure: str, num: int) -> Floor:
    """What shortcuts reach, from training problems to test problems."""
    of = Distribution(task, structure=structure)  # type: ignore[arg-type]
    splits: tuple[Split, Split] = ("train", "test")
    train, test = ([of.problem(0, split, index) for index in range(num)] for split in splits)
    said, wanted = ([answer(one) for one in some] for some in (train, test))
    majority = float(np.mean([one == Counter(said).most_common(1)[0][0] for one in wanted]))
    shortcut = None
    if task in YES_NO:
        shortcut = regression(of, train, said, test, wanted)
    return Floor(task, structure, shortcut, majority, 1.96 * 0.5 / num**0.5)


def answer(problem: Problem) -> str:
    """The class of an answer: its last word."""
    return find_task(problem.task).answer(problem).rstrip(".").split()[-1]


def regression(
    of: Distribution,
    train: Sequence[Problem],
    said: Sequence[str],
    test: Sequence[Problem],
    wanted: Sequence[str],
) -> float:
    """Accuracy of a logistic regression of features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit([features(of, one) for one in train], said)
    return float(model.score([features(of, one) for one in test], wanted))


def features(of: Distribution, problem: Problem) -> list[float]:
    """What can be counted without following an edge: of asked nodes, and of the whole."""
    graph, text = problem.graph, of.prompt(problem)
    degrees = [len(near) for near in graph.after]
    found: list[float] = [graph.num_nodes, len(graph.edges), graph.density, len(text)]
    found += [max(degrees), min(degrees), float(np.std(degrees)), degrees.count(0)]
    for node in problem.asked:
        places = [match.start() / len(text) for match in mentions(problem.names[node], text)]
        edges = [k / len(graph.edges) for k, edge in enumerate(graph.edges) if node in edge[:2]]
        found += [node, degrees[node], len(places), *ends(places), *ends(edges)]
    return found


def mentions(name: str, text: str) -> Iterator[re.Match[str]]:
    """Where a text names a node."""
    return re.finditer(rf"\b{re.escape(name)}\b", text)


def ends(places: Sequence[float]) -> Sequence[float]:
    """First, last and mean place; 0 without any."""
    return (places[0], places[-1], float(np.mean(places))) if places else (0.0, 0.0, 0.0)
