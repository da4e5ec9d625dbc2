import json

import pytest
import torch
from transformers import AutoTokenizer

from modules.causal_lm.vocabulary import vocabulary_size
from tests.runs import fit, losses, write_config

BEHIND = 400


@pytest.fixture
def sparse(tokenizer_folder, tmp_path):
    """A tokenizer of 300 tokens, the last of which has an id far behind the others."""
    folder = tmp_path / "sparse"
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    path = folder / "tokenizer.json"
    rules = json.loads(path.read_text())
    last = max(rules["model"]["vocab"], key=rules["model"]["vocab"].get)
    rules["model"]["vocab"][last] = BEHIND
    path.write_text(json.dumps(rules))
    return folder


def test_the_highest_id_decides_and_not_the_number_of_tokens(sparse, tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(sparse)
    assert len(tokenizer) == 300
    assert vocabulary_size(tokenizer) == BEHIND + 1
    dense = AutoTokenizer.from_pretrained(tokenizer_folder)
    assert vocabulary_size(dense) == len(dense) == 300
    dense.add_tokens(["<new>"])
    assert vocabulary_size(dense) == 301


def test_what_the_data_may_write_has_a_row_in_the_model(sparse, tmp_path):
    from datamodules.tokenizer import load_tokenizer

    ours = vocabulary_size(AutoTokenizer.from_pretrained(sparse))
    assert ours >= load_tokenizer(str(sparse)).vocab_size
    letters = tmp_path / "letters.txt"
    tokenizer = AutoTokenizer.from_pretrained(sparse)
    rare = tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens([BEHIND]))
    letters.write_text("\n".join([f"the{rare} cat sat on the{rare} mat {rare}{rare}"] * 40))
    assert BEHIND in tokenizer(letters.read_text())["input_ids"]
    config = write_config(tmp_path, letters, sparse)
    assert torch.tensor(losses(fit(config))).isfinite().all()
