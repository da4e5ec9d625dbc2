"""The exported task gives the same score as our own checker."""

import importlib.util
import json

import pytest

from datamodules.graphs.bridges.harness import export
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.questions import GraphQuestions

NUM = 6
NAME = "graphs_cycle"


@pytest.fixture
def folder(tmp_path):
    export(GraphQuestions(NUM, Distribution("cycle", structure="small")), tmp_path, NAME)
    return tmp_path


def rows(folder):
    return [json.loads(line) for line in (folder / f"{NAME}.jsonl").read_text().splitlines()]


def test_the_exported_function_scores_as_our_checker(folder):
    spec = importlib.util.spec_from_file_location("check", folder / "check.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    assert len(rows(folder)) == NUM
    for row in rows(folder):
        assert check.process_results(row, [row["reference"]])["right"] == 1
        for text in ("yes", "no", "yes and no", ""):
            found = check.process_results(row, [text])
            assert found["right"] == GraphAnswer().check(row, text)["right"]
        assert check.process_results(row, ["yes. no."])["ambiguous"] == 1


def test_lm_eval_gives_the_same_score(folder):
    lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed (group harness)")
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class SaysYes(LM):
        def generate_until(self, requests, disable_tqdm=False):
            return ["The answer is yes."] * len(requests)

        def loglikelihood(self, requests):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    found = lm_eval.simple_evaluate(
        SaysYes(),
        tasks=[NAME],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
    )
    checked = [GraphAnswer().check(row, "The answer is yes.")["right"] for row in rows(folder)]
    assert found["results"][NAME]["right,none"] == pytest.approx(sum(checked) / NUM)
