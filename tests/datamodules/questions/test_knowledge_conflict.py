import json
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.questions.memo_trap import MemoTrap
from datamodules.questions.nq_swap import NQSwap
from datamodules.questions.source import Question
from datamodules.records.document import BadSample

DATA = Path(os.environ.get("TRAINER_DATA", "data")) / "memotrap"
ENDING = 'Write a quote that ends in the word "early": Better late than'
TRANSLATION = (
    "Translate the following sentence from French into English.\nMieux vaut: tard.\nto:\nBetter"
)
SCIENCE = (
    "What was the common wisdom before: Earth is round.\nA. It is round.\nB. It is flat.\nAnswer:"
)


def write(folder, *rows):
    keys = ("prompt", "classes", "answer_index", "answer")
    columns = {key: [row[number] for row in rows] for number, key in enumerate(keys)}
    pq.write_table(pa.table(columns), folder / "trap.parquet")
    return MemoTrap(str(folder / "trap.parquet"))


def test_each_prompt_of_memotrap_is_split_where_memory_could_go_on(tmp_path):
    early, flat = [" never.", " early."], [" A", " B"]
    source = write(
        tmp_path,
        (ENDING, early, 1, " early."),
        (TRANSLATION, early, 0, " never."),
        (SCIENCE, flat, 1, " B"),
    )
    questions = list(source.questions())
    assert [
        (question.fields["context"], question.fields["question"]) for question in questions
    ] == [
        ('Write a quote that ends in the word "early":', "Better late than"),
        (TRANSLATION.removesuffix("\nBetter"), "Better"),
        (SCIENCE.split("\n")[0], "A. It is round.\nB. It is flat.\nAnswer:"),
    ]
    assert [question.fields["prompt"] for question in questions] == [ENDING, TRANSLATION, SCIENCE]
    assert [question.choices for question in questions] == [early, early, flat]
    assert [question.answer for question in questions] == [1, 0, 1]
    assert [question.references for question in questions] == [["early."], ["never."], ["B"]]


def test_prompts_of_another_kind_and_wrong_answers_are_rejected(tmp_path):
    source = write(
        tmp_path,
        ("Write me a poem.", [" a", " b"], 0, " a"),
        (ENDING, [" never.", " early."], 1, " never."),
        (ENDING, [" never.", " early."], 2, " early."),
    )
    assert [question.reason for question in source.questions()] == [
        "no prompt of MemoTrap: 'Write me a poem.'",
        "answer ' never.' is not choice 1",
        "the answer 2 is none of 2 choices",
    ]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs memotrap in TRAINER_DATA")
def test_every_prompt_of_the_files_is_split_and_makes_up_its_prompt():
    questions = list(MemoTrap(str(DATA)).questions())
    assert Counter(trap.id.rpartition(":")[0] for trap in questions) == {
        "memotrap/history_of_science_qa.parquet": 736,
        "memotrap/proverb_ending.parquet": 860,
        "memotrap/proverb_translation.parquet": 843,
    }
    for trap in questions:
        assert isinstance(trap, Question)
        context, question, prompt = (trap.fields[n] for n in ("context", "question", "prompt"))
        assert prompt in (f"{context} {question}", f"{context}\n{question}")
        assert all(choice.startswith(" ") for choice in trap.choices)
        assert trap.references == [trap.choices[trap.answer].strip()]


def lines(folder, *records):
    (folder / "swap.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(NQSwap(str(folder / "swap.jsonl")).questions())


def half(index, process, text, gold=("Bob",)):
    return {
        "input_index": index,
        "assigned_process": process,
        "context_string": text,
        "gold_answers": list(gold),
        "assigned_weight": -1 if process else 2,
    }


def test_two_lines_of_one_index_are_one_question_in_either_order(tmp_path):
    questions = lines(
        tmp_path,
        half(0, 0, "Bob won. who won"),
        half(0, 1, "who won"),
        half(1, 1, "who lost", ["Al"]),
        half(1, 0, "Al lost. who lost", ["Al"]),
    )
    assert [question.fields for question in questions] == [
        {"question": "who won", "prompt": "Bob won. who won", "context": "Bob won."},
        {"question": "who lost", "prompt": "Al lost. who lost", "context": "Al lost."},
    ]
    assert [question.references for question in questions] == [["Bob"], ["Al"]]
    assert len({question.id for question in questions}) == 2


def test_lines_of_two_indices_may_be_mixed(tmp_path):
    questions = lines(
        tmp_path, *(half(n, p, f"{'d ' * (1 - p)}q{n}") for p in (0, 1) for n in (3, 4))
    )
    assert [question.fields["prompt"] for question in questions] == ["d q3", "d q4"]


def test_where_both_prompts_are_worded_differently_there_is_no_context(tmp_path):
    [question] = lines(tmp_path, half(0, 0, "Doc. Using only the text: q"), half(0, 1, "Answer: q"))
    assert question.fields == {"question": "Answer: q", "prompt": "Doc. Using only the text: q"}


def test_the_plain_form_makes_the_same_question(tmp_path):
    two = lines(tmp_path, half(0, 0, "Bob won. who won"), half(0, 1, "who won"))
    plain = lines(tmp_path, {"document": "Bob won.", "question": "who won", "answers": ["Bob"]})
    assert [(q.fields, q.references) for q in plain] == [(q.fields, q.references) for q in two]


def test_a_question_without_a_document_has_an_empty_context(tmp_path):
    [question] = lines(tmp_path, {"document": None, "question": "who won", "answers": "Bob"})
    assert question.fields == {"context": "", "question": "who won", "prompt": "who won"}


def test_halves_without_a_partner_and_broken_lines_are_rejected(tmp_path):
    rejected = lines(
        tmp_path,
        half(0, 0, "d q"),
        half(0, 0, "d q"),
        half(1, 0, "d q"),
        {"document": "d", "answers": ["a"]},
        {"document": "d", "question": "q", "answers": []},
        half(2, 0, ""),
        half(2, 1, "q"),
    )
    assert all(isinstance(sample, BadSample) for sample in rejected)
    name = f"{tmp_path.name}/swap.jsonl"
    assert [(sample.origin, sample.reason) for sample in rejected] == [
        (f"{name}:2", f"assigned_process is not 0 and 1 here and in {name}:1"),
        (f"{name}:4", "no 'question' among document, answers"),
        (f"{name}:5", "'answers' is empty"),
        (f"{name}:7", f"'context_string' is empty here or in {name}:6"),
        (f"{name}:3", "the only line with input_index 1"),
    ]
