"""Arrangements of ranks that cannot work are refused before anything is built."""

import json
from time import perf_counter

import pytest
import torch
from jsonargparse import Namespace, dict_to_namespace

import cli
from engine.preflight.combinations import refuse_impossible
from engine.preflight.meshes import num_listed
from tests.fixtures.runs import refused

LLAMA = "modules.causal_lm.network.FromConfig"


def strategy(name, **options):
    return {"class_path": f"engine.parallel.{name}", "init_args": options}


HSDP = "hsdp.HSDP"
TENSOR = "tensor.strategy.TensorParallel"
CONTEXT = "context.strategy.ContextParallel"


def config(chosen, devices, network=None, row_length=64, **trainer) -> Namespace:
    """A configuration of which only some keys are given."""
    network = network or {"class_path": LLAMA, "init_args": {"options": {}}}
    return dict_to_namespace(
        {
            "trainer": {
                "accelerator": "cpu",
                "max_steps": 10,
                "devices": devices,
                "strategy": chosen,
                **trainer,
            },
            "model": {"class_path": "a.B", "init_args": {"network": network}},
            "data": {"class_path": "a.C", "init_args": {"row_length": row_length}},
        }
    )


def llama(**options):
    return {"class_path": LLAMA, "init_args": {"options": options}}


HEADS = {"num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 64}
FUSION = {"class_path": "modules.lmfusion.network.llama.BesideLlama", "init_args": {}}
EAGER = {"class_path": LLAMA, "init_args": {"attention": "sdpa", "options": {}}}
IMPOSSIBLE = [
    (config(strategy(HSDP, num_shards=4), 6), "num_shards is 4, which does not divide the number"),
    (config(strategy(HSDP, num_shards=2), 1), "does not divide the number of ranks, 1"),
    (config(strategy(HSDP, num_shards=0), 2), "num_shards is 0"),
    (config(strategy(TENSOR, tensor_parallel_size=8), 4), "tensor_parallel_size is 8, which"),
    (config(strategy(CONTEXT, context_parallel_size=2), 3, num_nodes=3), "ranks, 9"),
    (
        config(strategy(TENSOR), 4, llama(**HEADS)),
        "num_key_value_heads is 2, which tensor_parallel",
    ),
    (config(strategy(TENSOR), 3, llama(num_attention_heads=8)), "num_attention_heads is 8, which"),
    (config(strategy(TENSOR), 2, llama(intermediate_size=33)), "intermediate_size is 33, which"),
    (config(strategy(CONTEXT), 2, FUSION), "BesideLlama is none: a hybrid or bidirectional mask"),
    (config(strategy(CONTEXT), 2, EAGER), "the attention of FromConfig is sdpa, which sees only"),
    (config(strategy(CONTEXT), 4, row_length=60), "data.init_args.row_length: rows of 60 tokens"),
    (config(strategy(HSDP), 2, precision="64-true"), "64-true, which FSDP2 does not support"),
    (
        config(strategy(TENSOR), 2, llama(quantize="nf4")),
        "makes weights that engine.parallel.tensor",
    ),
]


@pytest.mark.parametrize(("given", "said"), IMPOSSIBLE)
def test_what_cannot_be_arranged_is_refused(capsys, given, said):
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", given)
    message = capsys.readouterr().err
    assert said in message
    assert message.count("\n") == 1


POSSIBLE = [
    config(strategy(HSDP, num_shards=2), 4),
    config(strategy(HSDP), 4, num_nodes=3),
    config(strategy(TENSOR), 2, llama(**HEADS)),
    config(strategy(TENSOR, tensor_parallel_size=2), 4, FUSION),
    config(strategy(CONTEXT), 4),
]


@pytest.mark.parametrize("given", POSSIBLE)
def test_what_can_be_arranged_is_left_alone(given):
    refuse_impossible("fit", given)


def test_heads_of_a_pretrained_model_are_read_from_its_folder(capsys, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(HEADS))
    network = {"class_path": LLAMA, "init_args": {"source": str(tmp_path)}}
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", config(strategy(TENSOR), 4, network))
    said = "model.init_args.network.init_args.source: num_key_value_heads is 2"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", [TENSOR, CONTEXT])
def test_ranks_that_share_rows_do_not_write_each_what_they_made_of_them(capsys, name):
    for command in ("fit", "validate", "test"):
        refuse_impossible(command, config(strategy(name), 2))
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("predict", config(strategy(name), 2))
    assert "ranks share theirs" in capsys.readouterr().err


def test_an_8_bit_optimizer_does_not_step_on_shards(capsys):
    given = config(strategy(HSDP), 2)
    given["model.init_args.optimizer"] = dict_to_namespace(
        {"class_path": "bitsandbytes.optim.AdamW8bit", "init_args": {"lr": 0.1}}
    )
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", given)
    assert "AdamW8bit cannot step on the shards" in capsys.readouterr().err


def test_only_folders_of_shards_are_written_while_the_training_goes_on(capsys):
    refuse_impossible("fit", config(strategy(HSDP, save_async=True, save_sharded=True), 2))
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", config(strategy(HSDP, save_async=True), 2))
    assert "save_async writes folders of shards: set save_sharded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "number"), [("auto", None), (-1, None), (2, 2), ("2", 2), ("0,3", 2), ([1, 4, 5], 3)]
)
def test_the_devices_that_are_used(given, number):
    assert num_listed(given) == number


@pytest.mark.parametrize(
    ("layer", "flags", "said"),
    [
        ("tensor_parallel", ["devices=3"], "which tensor_parallel_size, 3, does not divide"),
        ("hsdp", ["devices=3", "strategy.init_args.num_shards=2"], "num_shards is 2"),
        ("context_parallel", ["devices=3"], "a multiple of 6"),
    ],
)
def test_the_command_line_refuses_them_within_seconds(monkeypatch, layer, flags, said):
    monkeypatch.setattr(cli.CommandLine, "instantiate_classes", lambda _: pytest.fail("was built"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    layers = ["--config=configs/causal_lm/tiny.yaml", f"--config=configs/strategy/{layer}.yaml"]
    start = perf_counter()
    with refused(said):
        cli.main(["fit", *layers, "--trainer.accelerator=cpu", *(f"--trainer.{f}" for f in flags)])
    assert perf_counter() - start < 60  # 5 s on a machine of its own
