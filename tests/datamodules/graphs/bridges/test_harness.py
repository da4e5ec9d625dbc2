"""The exported task gives the same score as our own checker."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from datamodules.graphs.bridges.harness import export
from datamodules.graphs.distribution import Distribution
from datamodules.graphs.measure import GraphAnswer
from datamodules.graphs.questions import GraphQuestions
from tests.fixtures.runs import refused

ROOT = Path(__file__).parents[4]
FORMS = ("adjacency", "incident", "friendship", "expert")
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


ELSEWHERE = """
import json, sys
sys.path.insert(0, {folder!r})
import check
rows = [json.loads(line) for line in open({file!r})]
print([check.process_results(row, [row["reference"]])["right"] for row in rows])
print(sorted({{"torch", "lightning", "transformers"}} & set(sys.modules)))
"""


def test_the_folder_judges_outside_of_the_repository_without_its_heavy_packages(folder, tmp_path):
    script = ELSEWHERE.format(folder=str(folder), file=str(folder / f"{NAME}.jsonl"))
    away = tmp_path / "away"
    away.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=away, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str([1.0] * NUM), "[]"]


def test_a_folder_whose_repository_has_moved_says_so(folder, tmp_path):
    text = (folder / "check.py").read_text()
    (folder / "check.py").write_text(text.replace(str(ROOT), "/moved/away"))
    done = subprocess.run(
        [sys.executable, "-c", "import check"], cwd=folder, capture_output=True, text=True
    )
    assert "not in /moved/away: export the tasks again" in done.stderr


def test_the_command_writes_every_test_set_of_a_config(tmp_path, capsys):
    data = {"of": {"structure": "small"}, "num_test": 2}
    flags = [f"--data.init_args.{name}={json.dumps(value)}" for name, value in data.items()]
    root = f"--trainer.logger.init_args.root={tmp_path / 'runs'}"
    where = ["--config=configs/nlgift/endpoint.yaml", f"--folder={tmp_path / 'out'}", root]
    main(["tasks", *where, *flags, "--prompt=Q: {question}\n\nA:\n", "--max_new_tokens=9"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "check.py",
        *(f"graphs_{form}{end}" for form in FORMS for end in (".yaml", ".jsonl")),
    }
    task = (tmp_path / "out" / "graphs_expert.yaml").read_text()
    assert "max_gen_toks: 9" in task
    [row, _] = map(json.loads, (tmp_path / "out" / "graphs_expert.jsonl").open())
    assert row["prompt"] == f"Q: {row['question']}\n\nA:\n"
    assert "--include_path" in capsys.readouterr().out
    with refused("names 'colour'|no column|colour"):
        main(["tasks", *where, *flags, "--prompt={colour}"])
    with refused("has no test sets"):
        main(["tasks", "--config=configs/causal_lm/tiny.yaml", f"--folder={tmp_path}", root])


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
