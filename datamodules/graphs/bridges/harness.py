"""Graph problems as a task of EleutherAI's lm-evaluation-harness, with the same exact checker.

    export(GraphQuestions(500), Path("exported/graphs"), "graphs_connectivity")
    python -m lm_eval --include_path exported/graphs --tasks graphs_connectivity ...

The folder holds the questions, the task and a function that calls our checker, so lm_eval must be
run from this repository.
"""

import json
from pathlib import Path

from datamodules.questions.source import Question, QuestionSource

CHECK = '''"""Judges answers by the checker of the repository that it is run from."""

from datamodules.graphs.measure import GraphAnswer


def process_results(doc, results):
    """Whether an answer is right, and how often it can't be read."""
    said = GraphAnswer().check(doc, results[0])
    unread = {name: float(said["verdict"] == name) for name in ("ambiguous", "unparsed")}
    return {"right": said["right"], **unread}
'''
"""The module of the exported folder."""
TASK = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
target_delimiter: "\\n"
doc_to_target: "{{{{reference}}}}"
process_results: !function check.process_results
generation_kwargs:
  until: []
  max_gen_toks: {max_new_tokens}
  do_sample: false
metric_list:
  - {{metric: right, aggregation: mean, higher_is_better: true}}
  - {{metric: ambiguous, aggregation: mean, higher_is_better: false}}
  - {{metric: unparsed, aggregation: mean, higher_is_better: false}}
metadata:
  version: "{version}"
"""
"""The task; its version is the set of the questions, with the hash of their behaviour."""


def export(source: QuestionSource, folder: Path, name: str, max_new_tokens: int = 256) -> None:
    """Write a folder that lm_eval takes as `--include_path`.

    Args:
        source: The questions.
        folder: Where to; made if it does not exist.
        name: Of the task.
        max_new_tokens: Greatest length of an answer.

    Raises:
        ValueError: The source has no usable question.
    """
    questions = [one for one in source.questions() if isinstance(one, Question)]
    if not questions:
        raise ValueError(f"{source.name} has no usable question")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.resolve() / f"{name}.jsonl"
    rows = [{"id": one.id, **one.fields, "reference": one.references[0]} for one in questions]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    version = questions[0].fields.get("set", source.name)
    content = TASK.format(
        name=name, file=json.dumps(str(file)), max_new_tokens=max_new_tokens, version=version
    )
    (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    (folder / "check.py").write_text(CHECK, encoding="utf-8")
