"""The shipped DeepSpeed configs on two CPU processes, every system in turn in one process group.

DeepSpeed's CPU accelerator and gloo stand for GPUs and NCCL. What needs those is not run: NCCL,
copies to host memory beside the computation, offload to NVMe, fp8.
"""

import os

import pytest
import torch
from jsonargparse import set_parsing_settings

from cli import main
from engine.config.trust import VARIABLE, importable
from engine.preflight import combinations
from modules.causal_lm.system import CausalLM
from tests.fixtures.runs import last, losses, metrics, refused, run_in_turn, saved_every
from tests.fixtures.small_systems import WRITERS, own_noise

pytestmark = pytest.mark.slow
NAMES = ("causal_lm", "lmfusion", "codec_lm", "detector", "p3sum")
STRATEGIES = ("deepspeed_zero2", "deepspeed_zero3")
OFFLOAD = "deepspeed_zero3_offload"
REFUSED = ("deepspeed_zero3", "lmfusion")
CASES = [(s, n) for s in STRATEGIES for n in NAMES if (s, n) != REFUSED]
CASES += [(OFFLOAD, "causal_lm"), (OFFLOAD, "detector")]
ON_CPU = (
    "--trainer.accelerator=cpu",
    "--trainer.strategy.class_path=benchmarks.bench.deepspeed_on_cpu.DeepSpeedOnCPU",
)
EMA = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.5}}'
PARTS = ("--data.init_args.batch_size=1", "--trainer.accumulate_grad_batches=2")
BFLOAT16 = "--trainer.precision=bf16-mixed"
"""What configs ship with."""


def steps(number):
    return f"--trainer.max_steps={number}"


def saved(run):
    """A run's last checkpoint."""
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def norms(run):
    """The gradient norm of each step."""
    return [row["train/gradient_norm"] for row in metrics(run)]


def same_checkpoint(one, other):
    """Weights, averages and optimizer state of two runs, whole and under the same names."""
    one, other = saved(one), saved(other)
    for key in ("state_dict", "optimizer_states", "ema"):
        torch.testing.assert_close(other[key], one[key], rtol=1e-3, atol=5e-5)


def poisoned(honest):
    """A step of runs of seven steps, the third of which has a loss on rank 1 that is no number."""

    def step(self, batch, batch_idx):
        loss = honest(self, batch, batch_idx)
        is_bad = (self.trainer.max_steps, self.global_step, self.global_rank) == (7, 2, 1)
        return loss + float("nan") if is_bad else loss

    return step


def fit(system, *extra):
    """The folder of a run of a system by one process."""
    main(system.command(1, EMA, *extra))
    return system.newest


def trust_benchmarks():
    """Let configs name what benchmarks share with tests, as an environment can."""
    os.environ[VARIABLE] = "benchmarks.bench"
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=importable())


@pytest.fixture(scope="module")
def systems(tmp_path_factory, text_file, tokenizer_folder):
    """A small run of each system, by name."""
    folder = tmp_path_factory.mktemp("systems")
    with own_noise(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(CausalLM, "training_step", poisoned(CausalLM.training_step))
        for name in NAMES:
            (folder / name).mkdir()
        yield {name: WRITERS[name](folder / name, text_file, tokenizer_folder) for name in NAMES}


@pytest.fixture(scope="module")
def alone(systems):
    """Each system trained for twenty steps by one process, and one for eight."""
    runs = {name: fit(system, steps(20)) for name, system in systems.items()}
    begun, half = steps(8), (steps(6), BFLOAT16)
    one = systems["causal_lm"]
    return runs | {"begun": fit(one, begun), "in bfloat16": fit(one, *half)}


@pytest.fixture(scope="module")
def together(systems, alone, tmp_path_factory):
    """The same on two ranks, under each strategy; by strategy and name."""
    folder, commands = tmp_path_factory.mktemp("together"), {}

    def add(strategy, name, system, *extra):
        root = folder / f"{strategy} {name}"
        layers = [f"--config=configs/strategy/{strategy}.yaml", *ON_CPU, EMA, *extra]
        given = [*layers, f"--trainer.logger.init_args.root={root}"]
        commands[f"{strategy} {name}"] = systems[system].command(2, *given)

    for strategy, name in CASES:
        add(strategy, name, name, steps(20))
    for strategy in STRATEGIES:
        begun = folder / f"{strategy} begun" / "tiny" / "lines" / "0"
        add(strategy, "begun", "causal_lm", steps(8))
        add(strategy, "resumed", "causal_lm", steps(20), f"--ckpt_path={begun}")
        add(strategy, "from one", "causal_lm", steps(20), last(alone["begun"]))
        add(strategy, "in parts", "causal_lm", steps(6), *PARTS)
        add(strategy, "in bfloat16", "causal_lm", steps(6), BFLOAT16)
        add(strategy, "poisoned", "causal_lm", steps(7), saved_every(1))
    run_in_turn(folder, 2, [*commands.values()], trust_benchmarks, seconds=900)
    return {name: folder / name / "tiny" / "lines" / "0" for name in commands}


@pytest.mark.parametrize(("strategy", "name"), CASES)
def test_two_ranks_train_as_one_process(alone, together, strategy, name):
    one, two = alone[name], together[f"{strategy} {name}"]
    assert len(losses(two)) == 20
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert norms(two) == pytest.approx(norms(one), rel=1e-3)
    same_checkpoint(one, two)


def test_frozen_parameters_stay_out_of_checkpoints_and_optimizer(alone, together):
    held, expected = saved(together["deepspeed_zero2 lmfusion"]), saved(alone["lmfusion"])
    assert held["state_dict"].keys() == expected["state_dict"].keys()
    assert held["frozen_source"] == expected["frozen_source"]
    sizes = [len(one["optimizer_states"][0]["state"]) for one in (held, expected)]
    assert sizes[0] == sizes[1] > 0


def test_ranks_that_call_other_layers_are_refused_what_gathers_by_layers(systems, monkeypatch):
    """Alone among its data a rank without images would wait for ever."""
    checks = [one for one in combinations.CHECKS if "cuda" not in one.__name__]
    monkeypatch.setattr(combinations, "CHECKS", checks)
    with refused("LMFusion call the layers that their data need, .* deepspeed_zero2.yaml"):
        fit(systems["lmfusion"], "--config=configs/strategy/deepspeed_zero3.yaml")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_resumed_run_is_the_uninterrupted_one(together, strategy):
    whole, resumed = together[f"{strategy} causal_lm"], together[f"{strategy} resumed"]
    assert losses(resumed) == losses(whole)[8:]
    same_checkpoint(whole, resumed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_goes_on_on_more_ranks_or_fewer(systems, alone, together, strategy):
    """From one process to two ranks, and from two ranks to one process."""
    whole = losses(alone["causal_lm"])[8:]
    assert losses(together[f"{strategy} from one"]) == pytest.approx(whole, rel=1e-5)
    begun = last(together[f"{strategy} begun"])
    back = fit(systems["causal_lm"], steps(20), begun)
    assert losses(back) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_step_in_parts_is_the_step_and_is_clipped_as_one(alone, together, strategy):
    parts, whole = together[f"{strategy} in parts"], alone["causal_lm"]
    assert losses(parts) == pytest.approx(losses(whole)[:6], rel=1e-5)
    assert norms(parts) == pytest.approx(norms(whole)[:6], rel=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_train_in_bfloat16(alone, together, strategy):
    """DeepSpeed keeps 16-bit weights and 32-bit copies, where autocast keeps 32-bit weights."""
    found = losses(together[f"{strategy} in bfloat16"])
    assert found == pytest.approx(losses(alone["in bfloat16"]), rel=1e-2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_no_number_on_one_rank_is_left_out_on_both(together, strategy):
    run = together[f"{strategy} poisoned"]
    states = [
        torch.load(run / "checkpoints" / f"step_{n:07d}.ckpt", weights_only=True)["state_dict"]
        for n in (2, 3, 4)
    ]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    name = next(iter(states[1]))
    assert not torch.equal(states[1][name], states[2][name])
    assert all(value.isfinite().all() for value in states[2].values())
    assert metrics(run)[-1]["train/skipped"] == 1
