"""One layer of a real model's shape in the precision that configs ship with, on two gloo ranks."""

import json

import pytest

from cli import main
from tests.fixtures.runs import losses, run_in_turn
from tests.fixtures.small_systems import language_model

pytestmark = pytest.mark.slow

LAYER = {
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 1,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
}
"""Of TinyLlama-1.1B."""
STRATEGIES = {"fsdp2": 2, "hsdp": 2, "tensor_parallel": 1, "context_parallel": 1}
"""Groups of ranks with rows of their own."""


def test_a_layer_of_real_shape_trains_as_one_process_does(tmp_path, text_file, tokenizer_folder):
    system = language_model(tmp_path, text_file, tokenizer_folder)
    given = [
        f"--model.init_args.network.init_args.options={json.dumps(LAYER)}",
        "--trainer.precision=bf16-mixed",
        "--trainer.max_steps=6",
        "--model.init_args.optimizer.init_args.lr=0.0001",  # losses stay far from zero
    ]
    main(system.command(1, *given))
    alone = losses(system.newest)
    commands = [
        system.command(
            replicas,
            *given,
            f"--config=configs/strategy/{name}.yaml",
            f"--trainer.logger.init_args.root={tmp_path / name}",
        )
        for name, replicas in STRATEGIES.items()
    ]
    run_in_turn(tmp_path, 2, commands)
    for name in STRATEGIES:
        found = losses(tmp_path / name / "tiny" / "lines" / "0")
        assert found == pytest.approx(alone, rel=1e-2), name
