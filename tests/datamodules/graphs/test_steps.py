"""A rationale with one changed step is never a proof."""

import re
from random import Random

import pytest

from datamodules.graphs.distribution import Distribution
from datamodules.graphs.task import find_task

NUM = 8


def rationales(name):
    """Task, problem, and the sentences of a search with the answer."""
    task = find_task(name)
    for index in range(NUM):
        problem = Distribution(name, structure="small").problem(0, "train", index)
        steps = task.rationale(problem, "search", Random(0))
        found = [one if one.endswith(".") else f"{one}." for one in steps.split(". ") if one]
        if found:
            yield task, problem, found


def proves(task, problem, steps):
    return task.steps(problem, " ".join([*steps, task.answer(problem)])).is_proof


def changed(steps, change):
    """The steps with each of them changed in turn."""
    for at, step in enumerate(steps):
        for other in change(step):
            if other != step:
                yield [*steps[:at], *([other] if other else []), *steps[at + 1 :]]


def without(step):
    return [""]


def twice(step):
    return [f"{step} {step}"]


def one_more(step):
    """Another number in place of each."""
    for match in re.finditer(r"\d+", step):
        yield f"{step[: match.start()]}{int(match[0]) + 1}{step[match.end() :]}"


def foreign(step):
    """A node that does not exist in place of each number."""
    for match in re.finditer(r"\d+", step):
        yield f"{step[: match.start()]}99{step[match.end() :]}"


def fewer(step):
    """A search that finds one node less, or one more."""
    yield re.sub(r", \d+\.", ".", step)
    yield step.replace(".", ", 98.")


def blind(step):
    """The other reason why a node is free."""
    return [
        step.replace(" more", "") if " more" in step else step.replace("nothing", "nothing more")
    ]


CHANGES = {
    "connectivity": (without, twice, foreign, fewer),
    "topological_sort": (without, twice, foreign, one_more, blind),
    "max_flow": (without, twice, foreign),
    "cycle": (foreign,),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_changed_step_is_no_proof(name):
    for task, problem, steps in rationales(name):
        assert proves(task, problem, steps)
        for change in CHANGES[name]:
            for other in changed(steps, change):
                assert not proves(task, problem, other), other


@pytest.mark.parametrize("name", ["connectivity", "topological_sort"])
def test_steps_in_another_order_are_no_proof(name):
    for task, problem, steps in rationales(name):
        for at in range(len(steps) - 1):
            moved = [*steps[:at], steps[at + 1], steps[at], *steps[at + 2 :]]
            assert not proves(task, problem, moved)


def test_a_wrong_sum_is_no_proof():
    for task, problem, steps in rationales("shortest_path"):
        for other in changed(steps, lambda step: [add(step, r"(?<= at )\d+")]):
            assert not proves(task, problem, other)
        for other in changed(steps, lambda step: [re.sub(r"^\d+", "99", step)]):
            assert not proves(task, problem, other)


def test_what_is_not_conserved_is_no_flow():
    for task, problem, steps in rationales("max_flow"):
        for other in changed(steps, lambda step: [add(step, r"(?<= send )\d+")]):
            assert not proves(task, problem, other)


def add(step, pattern):
    return re.sub(pattern, lambda match: str(int(match[0]) + 1), step)


def test_every_round_must_be_one():
    problem = Distribution("cycle", structure="small").problem(0, "train", 0)
    task = find_task("cycle")
    for index in range(NUM):
        problem = Distribution("cycle", structure="small").problem(0, "train", index)
        steps = task.rationale(problem, "search", Random(0))
        if "round" in steps:
            told = f"{steps} 0 -> 1 -> 0 goes round. {task.answer(problem)}"
            assert not task.steps(problem, told).is_proof
            cut = re.sub(r" -> \d+ goes", " goes", steps)
            assert not task.steps(problem, f"{cut} {task.answer(problem)}").is_proof


def test_a_valid_order_is_not_proved_by_the_steps_of_another():
    task = find_task("topological_sort")
    problem = Distribution("topological_sort", structure="small").problem(0, "train", 0)
    steps = "0 waits for nothing. 1 waits for nothing."
    free = problem.__class__("topological_sort", type(problem.graph)(2, (), True), (), ("0", "1"))
    assert task.steps(free, f"{steps} One possible order is 0 -> 1.").is_proof
    assert not task.steps(free, f"{steps} One possible order is 1 -> 0.").is_proof
