"""What the checkers say of planted answers, right and wrong, and of NLGraph's own.

Truth comes from networkx, scipy and brute force. False accepts are wrong answers that a checker
calls right; false refusals are right answers that it does not. Released checkers were seen to
accept an empty order in 500 of 500 cases and to refuse other valid orders in 499 of 499 (GraphWiz),
and to accept an order that lacks a node in 500 of 500 (NLGraph).
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.bench.harness import Bench
from benchmarks.claims.nlgift.faults import contents, texts
from benchmarks.claims.nlgift.nlgraph import nlgraph
from benchmarks.claims.nlgift.truth import SOLUTIONS, Content, Truth
from benchmarks.claims.nlgift.wordings import Saying, wordings
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.graph import Edge, Graph
from datamodules.graphs.problem import Problem
from datamodules.graphs.task import find_task

NUM = 10_000
"""Planted answers of each task, at least."""
QUICK = 300
SHOWN = 5
"""Errors that are kept of each task."""


@dataclass(frozen=True)
class Plant:
    """A planted answer.

    Attributes:
        problem: What it answers.
        kind: What was done to it, or how a right answer is worded.
        text: The answer.
        is_right: Whether it is right.
    """

    problem: Problem
    kind: str
    text: str
    is_right: bool


def audit(bench: Bench) -> None:
    """Planted answers of every task, then NLGraph's own answers where its table is there."""
    for task in SOLUTIONS:
        found = audited(task, QUICK if bench.quick else NUM)
        bench.details[task] = found
        content = f"{task}, {found['wrong']} wrong and {found['right']} right answers"
        bench.row(1, f"{content}: false accepts", found["false_accepts"], 0)
        bench.row(1, f"{content}: false refusals", found["false_refusals"], 0)
        bench.say(content)
    file = Path(os.environ.get("TRAINER_DATA", "data")) / "nlgraph" / "nlgraph.parquet"
    if not file.is_file():
        bench.say(f"{file} is not there: NLGraph's answers are left out")
        return
    bench.details["nlgraph"] = found = nlgraph(file)
    num = sum(one["rows"] for one in found.values())
    differ = sum(one["differ"] for one in found.values())
    bench.row(1, f"NLGraph's own answers, {num}: checkers and networkx differ", differ, 0)
    wrong = num - sum(one["right in truth"] for one in found.values())
    bench.say(f"{wrong} of NLGraph's own answers are wrong")


def audited(task: str, num: int) -> dict[str, Any]:
    """Numbers of planted answers of a task, of errors, and of each verdict by kind."""
    judge, verdicts = find_task(task).judge, defaultdict[str, Counter[str]](Counter)
    errors: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    counts = Counter[bool]()
    for plant in plants(task):
        verdict = judge(plant.problem, plant.text)
        counts[plant.is_right] += 1
        verdicts[f"{'right' if plant.is_right else 'wrong'}: {plant.kind}"][verdict] += 1
        if (verdict == "right") != plant.is_right:
            content = {"kind": plant.kind, "text": plant.text, "verdict": verdict}
            errors[plant.is_right].append(content | {"problem": plant.problem.to_json()})
        if counts.total() >= num:
            break
    return {
        "wrong": counts[False],
        "right": counts[True],
        "false_accepts": len(errors[False]),
        "false_refusals": len(errors[True]),
        "verdicts": {kind: dict(found) for kind, found in sorted(verdicts.items())},
        "examples": errors[False][:SHOWN] + errors[True][:SHOWN],
    }


def plants(task: str) -> Iterator[Plant]:
    """Planted answers without end."""
    for index, problem in enumerate(problems(task)):
        yield from planted(problem, Random(f"plants/{task}/{index}"))


def problems(task: str) -> Iterator[Problem]:
    """Special problems first; then those of all forms and of the smaller structures, in turn."""
    solver = find_task(task)
    yield from special(task)
    numbers = ("small", "decimal", "large") if solver.is_weighted else ("small",)
    usual = [
        Distribution(task, form, number, structure)  # type: ignore[arg-type]
        for structure in ("small", "erdos_renyi")
        for number in numbers
        for form in solver.wordings
    ]
    for index in range(10**6):
        yield usual[index % len(usual)].problem(0, "test", index)


def special(task: str) -> Iterator[Problem]:
    """Graphs without an edge, of one node, and with parts that no edge joins."""
    solver = find_task(task)
    weight = Decimal(2) if solver.is_weighted else None
    for num, pairs in ((1, []), (2, []), (4, []), (4, [(0, 1), (2, 3)]), (5, [(0, 1), (1, 2)])):
        if num > solver.num_asked:
            edges = tuple(Edge(a, b, weight) for a, b in pairs)
            graph = Graph(num, edges, solver.is_directed)
            asked = (0, num - 1)[: solver.num_asked]
            yield Problem(task, graph, asked, tuple(map(str, range(num))))


def planted(problem: Problem, rng: Random) -> Iterator[Plant]:
    """Right answers in every wording, wrong ones in two each, and texts with none or several."""
    truth, saying = Truth(problem), Saying(problem, rng)
    for number, content in enumerate(truth.solutions):
        for name, wording in wordings(content).items():
            yield Plant(
                problem, f"{name}{', another' if number else ''}", wording(saying, content), True
            )
    wrong = list[Content]()
    for kind, content in contents(saying, truth.solutions[0]):
        if is_sayable(content):
            is_right = truth.holds(content)
            wrong += [] if is_right else [content]
            for wording in rng.sample([*wordings(content).values()], 2):
                yield Plant(problem, kind, wording(saying, content), is_right)
    if wrong:
        for kind, text in texts(saying, truth.solutions[0], rng.choice(wrong)):
            yield Plant(problem, kind, text, False)


def is_sayable(content: Content) -> bool:
    """Whether words can tell it: a sequence has a node."""
    return content.nodes is None or len(content.nodes) > 0
