"""Answers to graph problems, judged: for tests, and as a reward."""

from collections.abc import Mapping
from typing import Any, Literal

from datamodules.graphs.problem import FIELD, problem_of
from datamodules.graphs.reading.verdict import VERDICTS, Verdict
from datamodules.graphs.task import find_task


class GraphAnswer:
    """Whether answers to graph problems are right, and whether their steps are.

    As a measure of decoding it gives, of each answer, `right` and the share of every other verdict;
    `steps`, the share of its steps that hold, of answers with steps; and `unproved`, of right
    answers with steps, those whose steps do not prove them.
    """

    names = (*VERDICTS, "steps", "unproved")

    def check(self, question: Mapping[str, str], answer: str) -> dict[str, Any]:
        """What an answer is worth, beside the size of its problem.

        Returns:
            `verdict`; `right`, 0 or 1; `steps` and `unproved`, None where they do not apply;
            `effort` of the problem, and its numbers of `nodes` and `edges`.
        """
        problem = problem_of(question)
        task = find_task(problem.task)
        verdict = task.judge(problem, answer)
        steps = task.steps(problem, answer)
        is_right = verdict == "right"
        return {
            "verdict": verdict,
            "right": float(is_right),
            "steps": steps.share if steps.num else None,
            "unproved": float(not steps.is_proof) if steps.num and is_right else None,
            "effort": task.effort(problem),
            "nodes": problem.graph.num_nodes,
            "edges": len(problem.graph.edges),
        }

    def shown(self, question: Mapping[str, str], answer: str) -> dict[str, Any]:
        """The graph of a question with the nodes and edges that a picture of an answer marks.

        Returns:
            `names` of the nodes, rows of `edges`, `is_directed`, the nodes `asked`, edges `marked`,
            and the sentence of a right answer as `right_answer`; nothing of questions whose graph
            is not known.
        """
        if FIELD not in question:
            return {}
        problem = problem_of(question)
        task = find_task(problem.task)
        return {
            "names": problem.names,
            "edges": list(problem.graph.rows()),
            "is_directed": problem.graph.is_directed,
            "asked": problem.asked,
            "marked": task.marks(problem, answer),
            "right_answer": task.answer(problem),
        }

    def score(self, answers: Any) -> dict[str, list[float]]:
        """One value an answer for verdicts; of the others only for answers that have steps."""
        found: dict[str, list[float]] = {name: [] for name in self.names}
        for one in answers:
            said = self.check(one.question, one.text)
            for verdict in VERDICTS:
                found[verdict].append(float(verdict == said["verdict"]))
            for name in ("steps", "unproved"):
                if said.get(name) is not None:
                    found[name].append(said[name])
        return found


class GraphReward:
    """A reward of 1 for a right answer.

    Args:
        steps: What the steps of a rationale earn: `nothing`; or `share`, where an answer earns the
            share of its steps that hold times `part`, and the rest for being right.
        part: Of the reward, earned by steps.
    """

    labels = VERDICTS
    """What answers are counted by."""

    def __init__(self, steps: Literal["nothing", "share"] = "nothing", part: float = 0.5):
        if not 0 <= part <= 1:
            raise ValueError(f"part must lie in [0, 1], got {part}")
        self.part = part if steps == "share" else 0.0

    def judge(self, question: Mapping[str, str], answer: str) -> tuple[float, str]:
        """The reward of an answer, and its verdict."""
        verdict = verdict_of(question, answer)
        reward = (1 - self.part) * (verdict == "right")
        if self.part:
            problem = problem_of(question)
            reward += self.part * find_task(problem.task).steps(problem, answer).share
        return reward, verdict


def verdict_of(question: Mapping[str, str], answer: str) -> Verdict:
    """The verdict on an answer to a question of graphs."""
    problem = problem_of(question)
    return find_task(problem.task).judge(problem, answer)
