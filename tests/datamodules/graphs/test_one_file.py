"""A task is one file: nothing else is edited."""

from pathlib import Path

import pytest

from datamodules.graphs import tasks
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.questions import GraphQuestions
from datamodules.graphs.task import find_task, task_names

ROOM = Path("datamodules/graphs")
ADDED = ("cycle", "hamilton_path")
"""Tasks that the paper does not have."""
DEGREE = '''
"""How many edges does a node have?"""

import re

from datamodules.graphs.draw.topology import STRUCTURES
from datamodules.graphs.reading.values import value_of
from datamodules.graphs.reading.verdict import Ambiguous, StepCheck
from datamodules.graphs.task import DrawnGraph, GraphTask
from datamodules.graphs.wording.wording import Wording

NEXT = re.compile(r"One is (\\w+)\\.")


class Degree(GraphTask):
    num_asked = 1
    wordings = {"incident": Wording("A graph.", "{a} - {b}", "What is the degree of {s}?")}
    topologies = STRUCTURES
    answer_format = "End with: The degree is {number}."

    def near(self, problem):
        return problem.graph.after[problem.asked[0]]

    def draw(self, topology, rng):
        num, pairs = topology.graph(rng)
        return DrawnGraph(num, pairs, (rng.choice(pairs)[0],)) if pairs else None

    def answer(self, problem):
        return f"The degree is {len(self.near(problem))}."

    def rationale(self, problem, kind, rng):
        return " ".join(f"One is {problem.names[node]}." for node in self.near(problem))

    def judge(self, problem, text):
        said = value_of(NEXT.sub("", text), r"\\bdegree\\b")
        if isinstance(said, Ambiguous) or said is None:
            return "unparsed" if said is None else "ambiguous"
        return "right" if said == len(self.near(problem)) else "wrong"

    def steps(self, problem, text):
        near = {problem.names[node] for node in self.near(problem)}
        told = NEXT.findall(text)
        num_right = sum(name in near for name in told)
        is_right = {*told} == near and self.judge(problem, text) == "right"
        return StepCheck(len(told), num_right, is_right)

    def effort(self, problem):
        return len(self.near(problem))


TASK = Degree()
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A new file among the tasks."""
    (tmp_path / "degree.py").write_text(DEGREE)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    for known in (find_task, task_names):
        known.cache_clear()
    yield "degree"
    for known in (find_task, task_names):
        known.cache_clear()


def test_a_new_file_is_a_task_with_questions_a_checker_and_rewards(added):
    of = Distribution(added, structure="small", rationale="search", effort=(2, 3))
    checker = GraphAnswer()
    for index, question in enumerate(GraphQuestions(5, of).questions()):
        problem = of.problem(0, "test", index)
        find_task(added).validate(problem)
        assert question.references[0] in ("The degree is 2.", "The degree is 3.")
        said = of.response(problem, 0, index)
        assert said.startswith("One is ")
        assert checker.check(question.fields, said)["unproved"] == 0.0
        assert checker.check(question.fields, "The degree is 1.")["verdict"] == "wrong"


@pytest.mark.parametrize("name", ADDED)
def test_what_the_paper_does_not_have_is_named_in_its_own_file_alone(name):
    names = (f'"{name}"', f"tasks.{name}", f"import {name}")
    files = [file for file in ROOM.rglob("*.py") if file.stem != name]
    assert (ROOM / "tasks" / f"{name}.py").is_file()
    assert [f for f in files if any(one in f.read_text() for one in names)] == []
