"""Pairs of answers: which tokens count, which pairs are refused; chats are as in tuning."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.instructions.pairs import PreferenceFiles, PreferenceHub, PreferencePair
from datamodules.instructions.preferences import PreferenceData
from datamodules.instructions.source import InstructionFiles
from datamodules.instructions.templates import CHATML
from datamodules.instructions.tokenizer import ChatTokenizer
from datamodules.records.document import BadSample
from datamodules.text.tokenizer import load_tokenizer
from modules.causal_lm.preference.system import PreferenceBatch

ROWS = [
    {"prompt": "Who are you?", "chosen": "A cat, and you?", "rejected": "No."},
    {"prompt": "One?", "chosen": "Two.", "rejected": "The moon over the old house."},
    {"prompt": "Where did the dog run?", "chosen": "Over the hill.", "rejected": "Home. "},
]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def write(path: Path, rows: list) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def data(tokenizer_folder, tmp_path, source, **options) -> PreferenceData:
    options = {"chat_template": "plain", "batch_size": 2, "max_bad_rate": 0.9, **options}
    made = PreferenceData(
        str(tokenizer_folder), [source], [source], cache=str(tmp_path / "cache"), **options
    )
    made.prepare_data()
    made.setup("fit")
    return made


@pytest.mark.parametrize("template", ["plain", "chatml"])
def test_each_row_is_the_conversation_that_instruction_tuning_makes(
    tokenizer_folder, tmp_path, template
):
    rows = write(tmp_path / "a.jsonl", ROWS)
    made = data(
        tokenizer_folder,
        tmp_path,
        PreferenceFiles(rows, prompt="prompt"),
        chat_template=template,
        eval_batch_size=3,
    )
    [batch] = made.val_dataloader()
    assert {*batch} - {"row_B", "source_B"} == {*PreferenceBatch.__annotations__}
    assert batch["num_targets"] == batch["step_targets"] == 3
    assert sum(batch["length_N"]) == batch["token_BL"].numel()

    chat = ChatTokenizer(load_tokenizer(tokenizer_folder), made.chat.template, "last")
    sides = [
        InstructionFiles(rows, prompt="prompt", response=side) for side in ("chosen", "rejected")
    ]
    wanted = [one for side in sides for one in chat.encode_documents(side.documents())]
    for b, one in enumerate(wanted):
        length = len(one.ids)
        assert batch["token_BL"][b, :length].tolist() == list(one.ids)
        assert not batch["token_BL"][b, length:].any()
        labels = [
            ids if is_target else -100
            for ids, is_target in zip(one.ids[1:], one.is_target[1:], strict=True)
        ]
        assert batch["label_BL"][b, : length - 1].tolist() == labels
        assert (batch["label_BL"][b, length - 1 :] == -100).all()
        assert batch["position_BL"][b, :length].tolist() == list(range(length))


def test_pairs_that_fill_a_batch_have_no_labels(tokenizer_folder, tmp_path):
    source = PreferenceFiles(write(tmp_path / "a.jsonl", ROWS), prompt="prompt")
    first, second = data(tokenizer_folder, tmp_path, source).val_dataloader()
    assert (first["num_targets"], second["num_targets"]) == (2, 1)
    assert second["row_B"] == [2, -1]
    assert (second["label_BL"][[1, 3]] == -100).all()
    assert (second["label_BL"][[0, 2]] != -100).any(1).all()


def test_all_common_forms_are_the_same_pair(tmp_path):
    prompt, chosen, rejected = "One?", "Two.", "No."
    turns = [user(prompt), assistant(chosen)], [user(prompt), assistant(rejected)]
    forms = {
        None: {"prompt": prompt, "chosen": turns[0], "rejected": turns[1]},  # UltraFeedback
        "prompt": {
            "prompt": [user(prompt)],
            "chosen": [assistant(chosen)],
            "rejected": [assistant(rejected)],
        },
        "{prompt}": {"prompt": prompt, "chosen": chosen, "rejected": rejected},
    }
    for number, (asked, row) in enumerate(forms.items()):
        path = write(tmp_path / f"{number}.jsonl", [row])
        [pair] = PreferenceFiles(path, asked, system="Be brief.").documents()
        opening = {"role": "system", "content": "Be brief."}
        assert pair.messages == [opening, *turns[0]]
        assert pair.rejected == [opening, *turns[1]]


def test_a_saved_dataset_is_read(tmp_path):
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    pairs = list(PreferenceHub(str(tmp_path / "saved"), prompt="prompt").documents())
    assert [pair.rejected[-1]["content"] for pair in pairs] == [row["rejected"] for row in ROWS]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": "a", "rejected": "a "}, "answer are the same"),
        ({"chosen": "a", "rejected": " "}, "no answer"),
        ({"chosen": None, "rejected": "b"}, "no answer"),
        ({"chosen": [user("a"), assistant("b")], "rejected": "c"}, "before the two answers differ"),
        ({"chosen": [assistant("b"), user("c")], "rejected": "c"}, "ends in no answer"),
        ({"chosen": "a", "rejected": 5}, None),
        ({"chosen": "a", "rejected": True}, "holds no text but bool"),
        ({"chosen": "a"}, "no 'rejected'"),
    ],
)
def test_a_pair_that_says_nothing_is_counted(tmp_path, row, reason):
    path = write(tmp_path / "a.jsonl", [ROWS[0], {"prompt": "x", **row}])
    good, found = PreferenceFiles(path, prompt="prompt").documents()
    assert isinstance(good, PreferencePair)
    assert isinstance(found, PreferencePair) if reason is None else reason in found.reason


def test_bad_pairs_count_as_pairs(tokenizer_folder, tmp_path):
    same = {"prompt": "x", "chosen": "a", "rejected": "a"}
    source = PreferenceFiles(write(tmp_path / "a.jsonl", [*ROWS, same]), prompt="prompt")
    with pytest.raises(ValueError, match=r"bad \(25\.00%\).*are the same"):
        data(tokenizer_folder, tmp_path, source, max_bad_rate=0.2)
    assert len(data(tokenizer_folder, tmp_path, source, max_bad_rate=0.3)._pairs["train"]) == 3


def test_pairs_whose_difference_is_cut_away_are_dropped(tokenizer_folder, tmp_path, capsys):
    start = "The cat sat on the mat and looked at the moon. " * 3
    long = {"prompt": "x", "chosen": f"{start} yes", "rejected": f"{start} no"}
    unasked = {"prompt": start * 2, "chosen": "a", "rejected": "b"}
    source = PreferenceFiles(write(tmp_path / "a.jsonl", [*ROWS, long, unasked]), prompt="prompt")
    made = data(tokenizer_folder, tmp_path, source, row_length=60, eval_batch_size=9)
    assert "2 of 5 pairs are longer than 60 tokens: 0 are cut, 2 dropped" in capsys.readouterr().out
    [batch] = made.val_dataloader()
    assert batch["num_targets"] == 3
    with pytest.raises(ValueError, match=r"a\.jsonl:4 has \d+ tokens, but a row holds 60"):
        data(tokenizer_folder, tmp_path, source, row_length=60, long_samples="error")


def test_a_multi_turn_pair_learns_the_last_answer_alone(tokenizer_folder, tmp_path):
    before = [user("One?"), assistant("Two."), user("Three?")]
    row = {"chosen": [*before, assistant("Four.")], "rejected": [*before, assistant("No.")]}
    source = PreferenceFiles(write(tmp_path / "a.jsonl", [row]))
    made = data(tokenizer_folder, tmp_path, source, chat_template=CHATML)
    [batch] = made.val_dataloader()
    texts = []
    for label in batch["label_BL"][[0, 2]]:
        texts.append(made.chat.vocabulary.backend.decode(label[label != -100]))
    assert [text.split("<|im_end|>")[0] for text in texts] == ["Four.", "No."]


def test_training_batches_count_pairs(tokenizer_folder, tmp_path):
    source = PreferenceFiles(write(tmp_path / "a.jsonl", ROWS), prompt="prompt")
    loader = data(tokenizer_folder, tmp_path, source).train_dataloader()
    batch = next(iter(loader))
    assert batch["num_targets"] == 2
    assert batch["token_BL"].shape[0] == 4
    assert batch["token_BL"].dtype == torch.int64
    assert np.count_nonzero(batch["row_B"] == -1) == 0


def test_no_row_is_a_bad_sample_itself(tmp_path):
    path = write(tmp_path / "a.jsonl", [5, ROWS[0]])
    first, second = PreferenceFiles(path, prompt="prompt").documents()
    assert isinstance(first, BadSample)
    assert isinstance(second, PreferencePair)
