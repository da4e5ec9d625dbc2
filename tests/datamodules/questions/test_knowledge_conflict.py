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
    found = list(source.questions())
    assert [(one.fields["context"], one.fields["question"]) for one in found] == [
        ('Write a quote that ends in the word "early":', "Better late than"),
        (TRANSLATION.removesuffix("\nBetter"), "Better"),
        (SCIENCE.split("\n")[0], "A. It is round.\nB. It is flat.\nAnswer:"),
    ]
    assert [one.fields["prompt"] for one in found] == [ENDING, TRANSLATION, SCIENCE]
    assert [one.choices for one in found] == [early, early, flat]
    assert [one.answer for one in found] == [1, 0, 1]
    assert [one.references for one in found] == [["early."], ["never."], ["B"]]


def test_prompts_of_another_kind_and_wrong_answers_are_rejected(tmp_path):
    source = write(
        tmp_path,
        ("Write me a poem.", [" a", " b"], 0, " a"),
        (ENDING, [" never.", " early."], 1, " never."),
        (ENDING, [" never.", " early."], 2, " early."),
    )
    assert [one.reason for one in source.questions()] == [
        "no prompt of MemoTrap: 'Write me a poem.'",
        "answer ' never.' is not choice 1",
        "the answer 2 is none of 2 choices",
    ]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs memotrap in TRAINER_DATA")
def test_every_prompt_of_the_files_is_split_and_makes_up_its_prompt():
    found = list(MemoTrap(str(DATA)).questions())
    assert Counter(one.id.rpartition(":")[0] for one in found) == {
        "memotrap/history_of_science_qa.parquet": 736,
        "memotrap/proverb_ending.parquet": 860,
        "memotrap/proverb_translation.parquet": 843,
    }
    for one in found:
        assert isinstance(one, Question)
        context, question, prompt = (one.fields[n] for n in ("context", "question", "prompt"))
        assert prompt in (f"{context} {question}", f"{context}\n{question}")
        assert all(choice.startswith(" ") for choice in one.choices)
        assert one.references == [one.choices[one.answer].strip()]


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
    found = lines(
        tmp_path,
        half(0, 0, "Bob won. who won"),
        half(0, 1, "who won"),
        half(1, 1, "who lost", ["Al"]),
        half(1, 0, "Al lost. who lost", ["Al"]),
    )
    assert [one.fields for one in found] == [
        {"question": "who won", "prompt": "Bob won. who won", "context": "Bob won."},
        {"question": "who lost", "prompt": "Al lost. who lost", "context": "Al lost."},
    ]
    assert [one.references for one in found] == [["Bob"], ["Al"]]
    assert len({one.id for one in found}) == 2


def test_lines_of_two_indices_may_be_mixed(tmp_path):
    found = lines(tmp_path, *(half(n, p, f"{'d ' * (1 - p)}q{n}") for p in (0, 1) for n in (3, 4)))
    assert [one.fields["prompt"] for one in found] == ["d q3", "d q4"]


def test_where_both_prompts_are_worded_differently_there_is_no_context(tmp_path):
    [one] = lines(tmp_path, half(0, 0, "Doc. Using only the text: q"), half(0, 1, "Answer: q"))
    assert one.fields == {"question": "Answer: q", "prompt": "Doc. Using only the text: q"}


def test_the_plain_form_makes_the_same_question(tmp_path):
    two = lines(tmp_path, half(0, 0, "Bob won. who won"), half(0, 1, "who won"))
    one = lines(tmp_path, {"document": "Bob won.", "question": "who won", "answers": ["Bob"]})
    assert [(q.fields, q.references) for q in one] == [(q.fields, q.references) for q in two]


def test_a_question_without_a_document_has_an_empty_context(tmp_path):
    [one] = lines(tmp_path, {"document": None, "question": "who won", "answers": "Bob"})
    assert one.fields == {"context": "", "question": "who won", "prompt": "who won"}


def test_halves_without_a_partner_and_broken_lines_are_rejected(tmp_path):
    found = lines(
        tmp_path,
        half(0, 0, "d q"),
        half(0, 0, "d q"),
        half(1, 0, "d q"),
        {"document": "d", "answers": ["a"]},
        {"document": "d", "question": "q", "answers": []},
        half(2, 0, ""),
        half(2, 1, "q"),
    )
    assert all(isinstance(one, BadSample) for one in found)
    name = f"{tmp_path.name}/swap.jsonl"
    assert [(one.origin, one.reason) for one in found] == [
        (f"{name}:2", f"assigned_process is not 0 and 1 here and in {name}:1"),
        (f"{name}:4", "no 'question' among document, answers"),
        (f"{name}:5", "'answers' is empty"),
        (f"{name}:7", f"'context_string' is empty here or in {name}:6"),
        (f"{name}:3", "the only line with input_index 1"),
    ]
