"""Beginnings of human texts for a language model to continue."""

import json

import pytest

from datamodules.labelled_text.pair_prompts import HumanPrompts
from datamodules.labelled_text.source import LabelledText
from tests.fixtures.machine_texts import made_up, source, write


@pytest.fixture
def table(tmp_path):
    return source(write(made_up(num=6), tmp_path / "texts.parquet"))


def prompts(table, folder, **more):
    return HumanPrompts(folder, [table], **{"least_words": 45, "batch_size": 4, **more})


def test_each_human_text_is_begun_once_and_known_whole(table, tokenizer_folder):
    data = prompts(table, tokenizer_folder)
    batches = list(data.predict_dataloader())
    pairs = [pair for batch in batches for pair in batch["pair_B"]]
    longest = {}
    for row in table.rows:
        if row.is_human and len(row.text) > len(longest.get(row.pair_id, "")):
            longest[row.pair_id] = row.text
    assert {pair["pair_id"]: pair["text"] for pair in pairs} == longest
    begun = [prompt for batch in batches for prompt in batch["prompt"]]
    assert begun == [" ".join(pair["text"].split()[:20]) for pair in pairs]
    assert all(batch["mask_BL"].any(1).all() for batch in batches)


def test_what_is_continued_already_is_passed_over(table, tokenizer_folder, tmp_path):
    whole = [row.pair_id for row in prompts(table, tokenizer_folder).rows]
    for number, pair in enumerate(whole[:3]):
        folder = tmp_path / "runs" / str(number)
        folder.mkdir(parents=True)
        lines = [{"pair_id": pair, "label": "human"}, {"pair_id": pair, "label": "machine"}]
        cut = '{"pair_id": "' + whole[4]
        text = "\n".join([*map(json.dumps, lines), cut])
        (folder / "predictions.jsonl").write_text(text)
    written = str(tmp_path / "runs/*/predictions*.jsonl")
    left = [row.pair_id for row in prompts(table, tokenizer_folder, written=written).rows]
    assert left == whole[3:]
    of = {"written": written, "generator": "another"}
    assert len(prompts(table, tokenizer_folder, **of).rows) == len(whole)
    first = prompts(table, tokenizer_folder, written=written, num=4)
    assert [row.pair_id for row in first.rows] == whole[3:4]
    with pytest.raises(ValueError, match="nothing to write"):
        prompts(table, tokenizer_folder, written=written, num=3).predict_dataloader()


def test_short_human_texts_are_counted(table, tokenizer_folder, capsys):
    assert not prompts(table, tokenizer_folder, least_words=100).rows
    assert "12 human texts: 12 shorter than 100 words" in capsys.readouterr().out


def test_bad_numbers_are_refused(tokenizer_folder):
    with pytest.raises(ValueError, match="prompt_words must be at least 1, got 0"):
        HumanPrompts(tokenizer_folder, [LabelledText("x")], prompt_words=0)
