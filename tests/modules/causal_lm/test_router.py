"""The balance of experts in the loss, against transformers' own."""

import pytest
import torch

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import FromConfig
from modules.causal_lm.router import trained_tokens
from tests.fixtures.runs import fit, metrics, write_config

OPTIONS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 64,
    "output_router_logits": True,
    "router_aux_loss_coef": 0.7,
}
EXPERTS = {"mixtral": "num_local_experts", "qwen3_moe": "num_experts", "olmoe": "num_experts"}


def make(model_type="mixtral", **arguments):
    torch.manual_seed(0)
    options = {**OPTIONS, EXPERTS[model_type]: 4, **arguments.pop("options", {})}
    if model_type != "qwen3_moe":
        options.pop("moe_intermediate_size")
    return FromConfig(96, options, model_type=model_type, **arguments)


def one_document(length=12):
    torch.manual_seed(1)
    token = torch.randint(5, 90, (1, length))
    label = token.roll(-1)
    label[0, -1] = IGNORE
    return token, label, torch.arange(length)[None], [length]


@pytest.mark.parametrize("model_type", list(EXPERTS))
@pytest.mark.parametrize("loss_chunk", [None, 5])
def test_the_loss_of_a_document_is_the_architectures_own(model_type, loss_chunk):
    network = make(model_type, loss_chunk=loss_chunk)
    token, label, position, length = one_document()
    losses = network.training_loss(token, label, position, length)
    losses.total.backward()
    ours = {n: p.grad.clone() for n, p in network.model.named_parameters()}
    network.zero_grad()
    network.model.set_attn_implementation("eager")
    own = network.model(input_ids=token, labels=token).loss * 11
    own.backward()
    torch.testing.assert_close(losses.total, own)
    assert losses.balance > 0.1 * 11
    for name, p in network.model.named_parameters():
        torch.testing.assert_close(ours[name], p.grad, rtol=1e-4, atol=1e-5)


def test_a_sharded_model_has_the_balance_of_its_architecture():
    network = make()
    expected = network.training_loss(*one_document()).total
    inner = type(network.model)
    network.model.__class__ = type("Sharded", (inner,), {"__module__": "torch.distributed"})
    assert network.training_loss(*one_document()).total == expected


def test_padding_and_other_rows_weigh_as_their_tokens_do():
    network = make()
    token, label, position, length = one_document()
    alone = network.training_loss(token, label, position, length)
    padded = torch.cat([token, torch.zeros(1, 8, dtype=torch.long)], 1)
    labels = torch.cat([label, torch.full((1, 8), IGNORE)], 1)
    places = torch.cat([position, torch.arange(8)[None]], 1)
    with_padding = network.training_loss(padded, labels, places, [12, 8])
    torch.testing.assert_close(with_padding.total, alone.total)
    torch.testing.assert_close(with_padding.balance, alone.balance)


def test_tokens_that_count_are_those_of_documents_with_a_label():
    label = torch.tensor([[7, 8, IGNORE, IGNORE], [IGNORE, 5, IGNORE, IGNORE]])
    assert trained_tokens(label, [3, 1, 3, 1]).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    nothing = torch.full((1, 4), IGNORE)
    assert trained_tokens(nothing, [4]).tolist() == [[1, 1, 1, 1]]


def test_a_batch_without_labels_gives_zero_and_not_nan():
    network = make()
    token, _, position, length = one_document()
    losses = network.training_loss(token, torch.full_like(token, IGNORE), position, length)
    assert losses.total.item() == 0


def test_texts_are_written_with_a_cache_beside_a_balance():
    network = make(options={"max_position_embeddings": 128}).eval()
    assert network.sampling.cache == "growing"
    token, mask = torch.tensor([[5, 6, 7], [1, 1, 9]]), torch.tensor([[1, 1, 1], [0, 0, 1]])
    out = network.generate(token, mask, max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert out.shape == (2, 6)
    assert network.model.config.output_router_logits


def test_validation_measures_the_text_alone():
    network = make()
    inputs = one_document()
    assert network.loss(*inputs) == network.training_loss(*inputs).nats


def test_a_weight_that_nothing_would_read_is_refused():
    with pytest.raises(ValueError, match="router_aux_loss_coef only where output_router_logits"):
        make(options={"output_router_logits": False})


def test_experts_without_a_balance_are_told_of():
    with pytest.warns(UserWarning, match="experts of mixtral.*output_router_logits: true adds"):
        make(options={"output_router_logits": False, "router_aux_loss_coef": 0.0})


def test_a_run_trains_the_balance_and_logs_it_apart(tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    network = "--model.init_args.network.init_args"
    options = {**OPTIONS, "num_local_experts": 4, "max_position_embeddings": 128}
    options.pop("moe_intermediate_size")
    run = fit(
        config,
        f"{network}.model_type=mixtral",
        *(f"{network}.options.{name}={value}" for name, value in options.items()),
        "--trainer.max_steps=2",
    )
    rows = metrics(run)
    assert all(0.5 < row["train/balance"] / 0.7 < 4 for row in rows)
    assert all(4 < row["train/loss"] < 7 for row in rows)
