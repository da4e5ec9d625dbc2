"""Batches of prompts: padding, files, and the empty prompt."""

import pytest
import torch

from datamodules.text.tokenizer import load_tokenizer
from tests.fixtures.text_data import ready


def test_prompts_are_padded_on_the_left(make):
    prompts = ["Once", "Once upon a time", ""]
    data = ready(make(prompts=prompts, eval_batch_size=2), "predict")
    vocabulary = load_tokenizer(data.tokenizer)
    batches = list(data.predict_dataloader())
    assert [batch["prompt"] for batch in batches] == [prompts[:2], prompts[2:]]
    assert [batch["row_B"] for batch in batches] == [[0, 1], [2]]
    for batch in batches:
        assert batch["mask_BL"].dtype == torch.bool
        rows = zip(batch["prompt"], batch["token_BL"], batch["mask_BL"], strict=True)
        for prompt, token_L, mask_L in rows:
            [ids] = vocabulary.encode([prompt])
            assert token_L[mask_L].tolist() == [vocabulary.start, *ids]
            assert (token_L[~mask_L] == vocabulary.pad).all()
            assert mask_L[-1]


def test_no_prompt_is_one_empty_prompt(make):
    [batch] = ready(make(), "predict").predict_dataloader()
    assert batch["prompt"] == [""]
    assert batch["token_BL"].shape == (1, 1)


def test_prompts_are_read_from_files(make, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "a.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two\\n"}\n')
    for name, expected in (("a.txt", ["one", "two"]), ("a.jsonl", ["one", "two\n"])):
        data = ready(make(prompts=str(tmp_path / name)), "predict")
        assert [p for batch in data.predict_dataloader() for p in batch["prompt"]] == expected


def test_a_prompt_file_without_prompts_is_refused(make, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    data = make(prompts=str(tmp_path / "a.jsonl"))
    with pytest.raises(ValueError, match=r"a\.jsonl has no column 'prompt'; it has text"):
        ready(data, "predict").predict_dataloader()
