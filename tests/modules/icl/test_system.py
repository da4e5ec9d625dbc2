import csv
import json
import shutil
from pathlib import Path

import pytest

from cli import main
from modules.icl.selection.scoring import read_table
from tests.fixtures.runs import ends_on_ranks, refused

CONFIG = "--config=configs/icl/tiny.yaml"
PATTERNS = "datamodules.synthetic.patterns.source.PatternText"
QUESTIONS = "datamodules.synthetic.patterns.questions.PatternQuestions"


def source(num, seed, **more):
    return {"class_path": PATTERNS, "init_args": {"num": num, "seed": seed, **more}}


def questions(num, seed):
    return {"class_path": QUESTIONS, "init_args": {"num": num, "seed": seed}}


@pytest.fixture
def small(tmp_path):
    """Options of a small pool and task, which every command takes."""
    pool = [source(60, 5, shares={"mapping": 0.2})]
    tasks = {"in_context": [questions(12, 7)], "again": [questions(8, 8)]}
    return [
        CONFIG,
        f"--data.init_args.pool={json.dumps(pool)}",
        f"--data.init_args.target={json.dumps([questions(12, 6)])}",
        f"--data.init_args.tasks={json.dumps(tasks)}",
        f"--data.init_args.cache={tmp_path / 'cache'}",
        f"--trainer.logger.init_args.root={tmp_path / 'runs'}",
        "--model.init_args.selection.k=8",
        "--model.init_args.selection.iterations=2",
    ]


def last_run(tmp_path):
    return max((tmp_path / "runs").glob("*/*/*"), key=lambda path: path.stat().st_mtime)


def logged_by(run):
    """The last value of every quantity."""
    with (run / "metrics.csv").open() as file:
        rows = [*csv.DictReader(file)]
    return {name: float(value) for row in rows for name, value in row.items() if value}


def test_selected_documents_are_a_source_to_train_on_and_to_be_asked_about(small, tmp_path, capsys):
    folder = tmp_path / "selection"
    main(["select", *small, f"--folder={folder}"])
    said = capsys.readouterr().out
    assert "selecting with assets/patterns_theta_0\n" in said  # and not with untrained weights
    assert "60 documents, 12 questions of the task" in said
    assert "iteration 2: 8 documents of cosine" in said
    chosen = read_table(folder / "selected.parquet")
    assert set(chosen["iteration"]) == {1, 2}
    assert len(read_table(folder / "scores.parquet")["id"]) == 60
    path = f"--data.init_args.train.init_args.path={folder / 'selected.parquet'}"
    main(["fit", *small, path, "--trainer.max_steps=2", "--trainer.val_check_interval=2"])
    logged = logged_by(last_run(tmp_path))
    for name in ("in_context", "again"):
        assert 0 <= logged[f"validate/{name}/accuracy"] <= 1
        assert logged[f"validate/{name}/loss"] > 0
    checkpoint = f"--ckpt_path={last_run(tmp_path)}/checkpoints/last.ckpt"
    main(["test", *small, path, checkpoint])
    tested = logged_by(last_run(tmp_path))
    assert tested["test/in_context/accuracy"] == logged["validate/in_context/accuracy"]


def test_a_system_that_selects_nothing_is_refused(tmp_path):
    with refused(r"CausalLM selects no documents: it has no select\(\)"):
        main(["select", "--config=configs/causal_lm/tiny.yaml", f"--folder={tmp_path}"])


def test_untrained_weights_select_only_where_that_is_meant(small, tmp_path):
    options = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    network = {
        "class_path": "modules.causal_lm.network.FromConfig",
        "init_args": {"options": {**options, "num_attention_heads": 2}},
    }
    asked = ["select", *small, f"--folder={tmp_path / 's'}"]
    asked.append(f"--model.init_args.network={json.dumps(network)}")
    with refused("trainable tensors are untrained"):
        main(asked)
    main([*asked, "--untrained"])
    assert (tmp_path / "s" / "selected.parquet").exists()


def test_a_selection_begun_with_another_pool_is_refused(small, tmp_path):
    folder = f"--folder={tmp_path / 'selection'}"
    main(["select", *small, folder, "--model.init_args.selection.iterations=1"])
    other = f"--data.init_args.pool={json.dumps([source(40, 5)])}"
    with refused(r"selection with other values of: the documents of the pool, iterations"):
        main(["select", *small, folder, other])
    one, projected = (
        f"--model.init_args.selection.{x}" for x in ("iterations=1", "projection.num=8")
    )
    with refused(r"selection with other values of: projection. Give"):
        main(["select", *small, folder, one, projected])
    with refused(r"61 documents are to be selected from 60; lower k"):
        main(["select", *small, folder, "--model.init_args.selection.k=61"])


def test_where_in_a_run_it_was_selected_does_not_matter(small, tmp_path):
    main(["select", *small, f"--folder={tmp_path / 'a'}"])
    main(["select", *small, f"--folder={tmp_path / 'b'}", "--data.init_args.batch_size=3"])
    first, second = (Path(tmp_path / one / "selected.parquet") for one in "ab")
    assert read_table(first) == read_table(second)


@pytest.mark.slow
def test_ranks_that_shard_weights_answer_a_single_question_as_one_process(small, tmp_path):
    """The second rank has no question of its own, and has to read nevertheless."""
    config = tmp_path / "icl" / "tiny.yaml"
    config.parent.mkdir()
    for name in ("tiny.yaml", "base.yaml"):
        shutil.copy(f"configs/icl/{name}", config.parent)
    tasks = json.dumps({"single": [questions(1, 7)]})
    more = [*small[1:], f"--data.init_args.tasks={tasks}", "--trainer.accelerator=cpu"]
    main(["validate", f"--config={config}", *more])
    wanted = logged_by(last_run(tmp_path))
    layer = "--config=configs/strategy/fsdp2.yaml"
    codes, logs = ends_on_ranks(config, 2, layer, *more, command="validate")
    assert codes == [0, 0], logs
    found = logged_by(last_run(tmp_path))
    assert found["validate/single/loss"] == pytest.approx(wanted["validate/single/loss"], rel=1e-5)
