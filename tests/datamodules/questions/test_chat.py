"""Questions in a chat: prompts, draws of the stream, and bad questions."""

import json

import numpy as np
import pytest

from datamodules.instructions.templates import CHATML
from datamodules.questions.chat import ChatQuestionData
from datamodules.questions.files import JsonlQuestions
from modules.causal_lm.policy.system import PolicyBatch

QUESTIONS = ["Who ran?", "Where did the dog run over the hill?", "Why?"]


def write(path, questions):
    rows = [{"id": str(n), "question": one, "topic": "cats"} for n, one in enumerate(questions)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlQuestions(str(path), {"question": "question", "topic": "topic"})


def data(tokenizer_folder, source, **options):
    options = {"chat_template": "chatml", "batch_size": 2, "max_bad_rate": 0.5, **options}
    made = ChatQuestionData(str(tokenizer_folder), [source], [source], **options)
    made.setup("fit")
    return made


def test_prompts_are_those_of_the_chat_template(tokenizer_folder, tmp_path):
    from transformers import AutoTokenizer

    source = write(tmp_path / "a.jsonl", QUESTIONS)
    made = data(tokenizer_folder, source, prompt="{topic}: {question}", system="Be brief.")
    first, second = made.val_dataloader()
    assert {*first} - {"row_B"} == {*PolicyBatch.__annotations__}
    assert (first["num_targets"], second["num_targets"]) == (2, 1)
    assert first["question"][1] == {"question": QUESTIONS[1], "topic": "cats"}
    assert first["prompt"][1] == f"cats: {QUESTIONS[1]}"
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    for row, question in enumerate(QUESTIONS[:2]):
        turns = [("system", "Be brief."), ("user", f"cats: {question}")]
        wanted = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns],
            chat_template=CHATML,
            add_generation_prompt=True,
        )["input_ids"]
        mask = first["mask_BL"][row]
        assert first["token_BL"][row][mask].tolist() == list(wanted)
        assert mask.tolist() == sorted(mask.tolist())  # padding is on the left
    assert made.longest_prompt == first["token_BL"].shape[1]


def test_each_visit_of_a_question_has_another_number_whatever_the_batches(
    tokenizer_folder, tmp_path
):
    source = write(tmp_path / "a.jsonl", QUESTIONS)

    def visits(size):
        loader = data(tokenizer_folder, source, batch_size=size).train_dataloader()
        found = []
        while len(found) < 12:
            for batch in loader:
                found += zip(batch["id"], batch["draw_B"], strict=True)
        return found[:12]

    seen = visits(1)
    assert [draw for _, draw in seen] == list(range(12))
    assert [id for id, _ in seen[:3]] != [id for id, _ in seen[3:6]] or seen[6:9] != seen[9:12]
    assert sorted(id for id, _ in seen[:3]) == ["0", "1", "2"]
    assert visits(3) == seen


def test_a_rank_without_a_question_stays_in_step(tokenizer_folder, tmp_path):
    made = data(tokenizer_folder, write(tmp_path / "a.jsonl", QUESTIONS))
    batch = made._asked["train"].batch(np.array([2, 2]), 0)
    assert batch["num_targets"] == 0
    assert batch["row_B"] == [-1]
    assert len(batch["id"]) == len(batch["token_BL"]) == 1


def test_prompts_that_are_too_long_or_empty_are_counted(tokenizer_folder, tmp_path):
    source = write(tmp_path / "a.jsonl", [*QUESTIONS, " ", "Why not? " * 40])
    with pytest.warns(UserWarning, match=r"2 of 5 .*nothing is asked.*more than max_prompt_tokens"):
        made = data(tokenizer_folder, source, prompt="{question}", max_prompt_tokens=80)
    assert len(made._asked["train"]) == 3
