"""Graph problems as tasks of EleutherAI's lm-evaluation-harness, with the same exact checker.

    python cli.py tasks --config configs/nlgift/endpoint.yaml --folder exported/graphs
    python -m lm_eval --include_path exported/graphs --tasks graphs ...

The folder holds the questions, the tasks and a function that calls our checker. It knows where this
repository is, so lm_eval may be run anywhere, by a Python that has the packages of the repository's
checkers: networkx and typing_extensions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datamodules.questions.source import Question, QuestionSource
from datamodules.records.row_tally import RowTally
from datamodules.records.template import Template

TAG = "graphs"
"""What all tasks together are called, and what their names begin with."""
ROOT = Path(__file__).parents[3]
"""The folder of the repository."""
CHECK = '''"""Judges answers by the checkers of the repository that wrote this folder."""

import sys

ROOT = {root!r}
if ROOT not in sys.path:
    sys.path.append(ROOT)
try:
    from datamodules.graphs.measure import GraphAnswer
    from datamodules.graphs.real.answers import RealAnswer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the checkers of graph problems are not in {{ROOT}}: export the tasks again ({{error}})",
        name=error.name,
    ) from None


def process_results(doc, results):
    """Whether an answer is right, and how often it can't be read."""
    checker = GraphAnswer() if "problem" in doc else RealAnswer()
    said = checker.check(doc, results[0])
    unread = {{name: float(said["verdict"] == name) for name in ("ambiguous", "unparsed")}}
    return {{"right": said["right"], **unread}}
'''
"""The module of the exported folder."""
TASK = """task: {name}
tag: {tag}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
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
  version: {version}
"""
"""A task; its version is the set of the questions, with the hash of their behaviour."""


def export_sets(
    sets: Mapping[str, QuestionSource], folder: Path, prompt: str, max_new_tokens: int
) -> Iterator[str]:
    """Write test sets as tasks `graphs_NAME`, all of them tagged `graphs`; yields lines to show.

    Raises:
        ValueError: There is no test set.
    """
    if not sets:
        raise ValueError("there are no test sets: data.init_args.tasks or variants name them")
    for name, source in sets.items():
        num = export(source, folder, f"{TAG}_{name}", max_new_tokens, prompt)
        yield f"{TAG}_{name}: {num} questions"
    yield f"tasks        {folder}"
    yield f"run them     python -m lm_eval --include_path {folder} --tasks {TAG} --model hf ..."


def export(
    source: QuestionSource,
    folder: Path,
    name: str,
    max_new_tokens: int = 256,
    prompt: str = "{question}",
) -> int:
    """Write a folder that lm_eval takes as `--include_path`.

    Args:
        source: The questions; bad ones are left out and listed.
        folder: Where to; made if it does not exist.
        name: Of the task.
        max_new_tokens: Greatest length of an answer.
        prompt: What a question becomes; names in braces are its fields.

    Returns:
        Number of questions.

    Raises:
        ValueError: The source has no usable question.
        BadSampleError: The prompt names a field that a question does not have.
    """
    questions = list(RowTally().sift(source.questions(), 1.0, source.name))
    if not questions:
        raise ValueError(f"{source.name} has no usable question")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.resolve() / f"{name}.jsonl"
    file.write_text(lines(questions, Template("prompt", prompt)), encoding="utf-8")
    content = TASK.format(
        name=name,
        tag=TAG,
        file=json.dumps(str(file)),
        max_new_tokens=max_new_tokens,
        version=json.dumps(questions[0].fields.get("set", source.name)),
    )
    (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    (folder / "check.py").write_text(CHECK.format(root=str(ROOT)), encoding="utf-8")
    return len(questions)


def lines(questions: Sequence[Question], prompt: Template) -> str:
    """A row of JSON for each question."""
    rows = (
        {
            "id": one.id,
            **one.fields,
            "prompt": prompt.fill(one.fields),
            "reference": (one.references or [""])[0],
        }
        for one in questions
    )
    return "".join(f"{json.dumps(row)}\n" for row in rows)
