import json
from functools import partial

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from modules.causal_lm.network import Pretrained
from modules.causal_lm.system import CausalLM
from modules.causal_lm.tokens.vocabulary import vocabulary_size
from tests.fixtures.runs import fit, losses, write_config

BEHIND = 400


@pytest.fixture
def sparse(tokenizer_folder, tmp_path):
    """A tokenizer of 300 tokens, the last of which has an id far above the others."""
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
    from datamodules.text.tokenizer import load_tokenizer

    ours = vocabulary_size(AutoTokenizer.from_pretrained(sparse))
    assert ours >= load_tokenizer(str(sparse)).vocab_size
    letters = tmp_path / "letters.txt"
    tokenizer = AutoTokenizer.from_pretrained(sparse)
    rare = tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens([BEHIND]))
    letters.write_text("\n".join([f"the{rare} cat sat on the{rare} mat {rare}{rare}"] * 40))
    assert BEHIND in tokenizer(letters.read_text())["input_ids"]
    config = write_config(tmp_path, letters, sparse)
    assert torch.tensor(losses(fit(config))).isfinite().all()


def test_a_tokenizer_that_a_model_was_not_trained_with_is_refused_though_it_has_as_many_tokens(
    tokenizer_folder, tmp_path
):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, vocab_size=len(tokenizer) + 8)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "other")
    file = tmp_path / "other" / "tokenizer.json"
    held = json.loads(file.read_text())
    words = held["model"]["vocab"]
    first, second = list(words)[20:22]
    words[first], words[second] = words[second], words[first]
    file.write_text(json.dumps(held))
    network = partial(Pretrained, source=str(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"model was trained with other tokens .*: 2 of \d+ ids"):
        CausalLM(network, str(tmp_path / "other")).build()
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(tmp_path / "more")
    assert CausalLM(network, str(tmp_path / "more")).build() is not None
    assert CausalLM(network, str(tokenizer_folder)).build() is not None
