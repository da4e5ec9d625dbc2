"""Options of architectures that mean something else here than in their published models."""

import logging

import pytest
import torch
from torch import nn

from cli import main
from modules.causal_lm.generate import Generation, generate
from modules.causal_lm.network import FromConfig
from modules.causal_lm.probe.admission import Limits
from tests.fixtures.runs import newest_run, refused, write_config
from tests.modules.causal_lm.test_generate import Tokens, greedy_loop, left_padded

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def scratch(model_type, vocabulary=96, **arguments):
    torch.manual_seed(0)
    options = {**SIZES, **arguments.pop("options", {})}
    return FromConfig(vocabulary, options, model_type=model_type, **arguments)


@pytest.mark.parametrize("model_type", ["olmo2", "helium", "apertus", "gemma", "cohere", "phi3"])
def test_no_row_of_the_embedding_is_frozen_and_small_vocabularies_work(model_type):
    network = scratch(model_type, options={"head_dim": 8} if model_type == "helium" else {})
    tables = [m for m in network.model.modules() if isinstance(m, nn.Embedding)]
    assert all(table.padding_idx is None for table in tables)
    token = torch.arange(12)[None]
    network.loss(token, token.roll(-1), token, [12]).backward()
    gradient = network.model.get_input_embeddings().weight.grad
    assert gradient[:12].abs().sum(1).gt(0).all()
    assert network.model.config.pad_token_id is None


@pytest.mark.parametrize("model_type", ["phi3", "smollm3", "olmo2"])
def test_special_ids_of_published_models_bring_no_warnings(model_type):
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("transformers").addHandler(handler)
    try:
        scratch(model_type)
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert [line for line in heard if "token_id" in line] == []


def test_a_padding_id_that_is_asked_for_stays():
    network = scratch("olmo2", options={"pad_token_id": 5})
    assert network.model.get_input_embeddings().padding_idx == 5


def test_an_architecture_without_the_usual_kernel_is_sampled_through_its_own():
    options = {"head_dim": 8, "query_pre_attn_scalar": 8, "max_position_embeddings": 128}
    network = scratch("gemma2", 300, options=options, attention="eager").eval()
    assert network.sampling.attention == "eager"
    prompts = [[5, 6, 7, 8], [11, 3]]
    token, mask = left_padded(prompts)
    out = generate(network, token, mask, Tokens(), Generation(6, temperature=0))
    for prompt, row in zip(prompts, out, strict=True):
        expected = greedy_loop(network, prompt, 6)
        assert row[token.shape[1] :][: len(expected)].tolist() == expected


def test_what_cannot_be_sampled_says_so(make_network):
    network = make_network()
    network.limits = Limits(unsampled="it forgets")
    with pytest.raises(ValueError, match="llama cannot write texts here: it forgets"):
        generate(network, *left_padded([[3]]), Tokens(), Generation(2))


@pytest.fixture
def config(tmp_path, text_file, tokenizer_folder):
    return write_config(tmp_path, text_file, tokenizer_folder)


NETWORK = "--model.init_args.network.init_args"


def test_rows_longer_than_learned_positions_are_refused_before_the_first_step(config):
    options = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}
    with refused(r"rows of 64 tokens.*row_length.*32 positions.*n_positions"):
        main(
            [
                "fit",
                f"--config={config}",
                f"{NETWORK}.model_type=gpt2",
                f"{NETWORK}.options={options}",
            ]
        )
    assert not list(newest_run(config).glob("checkpoints/*"))


def test_rows_longer_than_rotary_positions_are_told(config):
    with pytest.warns(UserWarning, match="rows of 64 tokens.*32 positions"):
        main(["fit", f"--config={config}", f"{NETWORK}.options.max_position_embeddings=32"])


def test_an_architecture_that_leaks_is_refused_through_the_front_door(config):
    with refused("bloom is not trained exactly with attention 'eager'"):
        main(
            [
                "fit",
                f"--config={config}",
                f"{NETWORK}.attention=eager",
                f"{NETWORK}.model_type=bloom",
                f"{NETWORK}.options={{hidden_size: 32, n_layer: 2, n_head: 4}}",
            ]
        )
