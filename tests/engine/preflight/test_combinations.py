"""Combinations that cannot work are refused before anything is built."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace, dict_to_namespace

import cli
from engine.preflight.combinations import num_devices, refuse_impossible

ROOT = Path(__file__).parents[3]
TINY = "configs/causal_lm/tiny.yaml"
DEEPSPEED = {"class_path": "lightning.pytorch.strategies.DeepSpeedStrategy"}
ZERO = {"class_path": "engine.parallel.deepspeed.DeepSpeed"}
FSDP1 = {"class_path": "lightning.pytorch.strategies.FSDPStrategy"}
FSDP2 = {"class_path": "engine.parallel.fsdp2.FSDP2"}
BITSANDBYTES = [{"class_path": "lightning.pytorch.plugins.BitsandbytesPrecision"}]


def parsed(trainer: dict[str, Any], **other: Any) -> Namespace:
    """A configuration of which only some keys are given."""
    ends = {"max_steps": 10, "max_epochs": -1}
    return dict_to_namespace({"trainer": ends | trainer, **other})


@pytest.fixture
def devices(monkeypatch):
    """Pretend to have a number of CUDA devices."""

    def pretend(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return pretend


AVERAGING = [{"class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging"}]
ADAMW = "torch.optim.AdamW"
COSINE = "engine.optim.schedules.WarmupCosine"
SCHEDULES = "torch.optim.lr_scheduler"

IMPOSSIBLE = [
    (0, {"accelerator": "gqu"}, "there is no gqu; did you mean gpu?"),
    (0, {"accelerator": "gpu"}, "trainer.accelerator is gpu, but torch sees no such device"),
    (0, {"accelerator": "cuda"}, "trainer.accelerator is cuda, but torch sees no such device"),
    (2, {"devices": 4}, "trainer.devices is 4, but this machine has 2 CUDA device(s)"),
    (2, {"devices": "4"}, "this machine has 2"),
    (2, {"devices": [0, 2]}, "this machine has 2"),
    (0, {"precision": "16-mixed"}, "16-mixed, which a CPU lacks; use bf16-mixed or 32-true"),
    (0, {"precision": 16}, "16-mixed, which a CPU lacks"),
    (2, {"accelerator": "cpu", "precision": "16-true"}, "16-true, which a CPU lacks"),
    (0, {"plugins": BITSANDBYTES}, "BitsandbytesPrecision needs a CUDA device"),
    (0, {"strategy": "dpp"}, "there is no dpp; did you mean ddp?"),
    (0, {"strategy": "engine.parallel.fsdp2.FSDP2"}, "configs/strategy/ name the classes"),
    (0, {"strategy": "deepspeed_stage_2"}, "DeepSpeed needs a CUDA device"),
    (0, {"strategy": DEEPSPEED}, "DeepSpeed needs a CUDA device"),
    (0, {"strategy": ZERO}, "DeepSpeed needs a CUDA device"),
    (2, {"strategy": DEEPSPEED, "accelerator": "cpu"}, "DeepSpeed needs a CUDA device"),
    (0, {"strategy": "fsdp"}, "use configs/strategy/fsdp2.yaml"),
    (0, {"strategy": FSDP1}, "use configs/strategy/fsdp2.yaml"),
    (2, {"strategy": FSDP2, "precision": "16-mixed"}, "16-mixed, which FSDP2 does not support"),
    (2, {"strategy": FSDP2, "precision": "64-true"}, "64-true, which FSDP2 does not support"),
    (2, {"strategy": FSDP2, "gradient_clip_algorithm": "value"}, "use norm"),
    (2, {"strategy": DEEPSPEED, "gradient_clip_algorithm": "value"}, "use norm"),
    (2, {"strategy": ZERO, "gradient_clip_algorithm": "value"}, "use norm"),
    (2, {"strategy": ZERO, "callbacks": AVERAGING, "max_epochs": 3}, "callbacks.ema.EMA averages"),
    (2, {"strategy": FSDP2, "plugins": BITSANDBYTES}, "cannot shard"),
    (2, {"strategy": "deepspeed", "plugins": BITSANDBYTES}, "cannot shard"),
    (0, {"max_steps": -1}, "the run would never end; set trainer.max_steps"),
    (0, {"max_steps": 0}, "nothing is trained"),
    (0, {"val_check_interval": 0}, "trainer.val_check_interval is 0; it must be a number of"),
    (0, {"val_check_interval": -5}, "trainer.val_check_interval is -5"),
    (0, {"val_check_interval": 1.5}, "or a share of an epoch, at most 1.0"),
    (0, {"check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch is 0"),
    (0, {"accumulate_grad_batches": 0}, "trainer.accumulate_grad_batches is 0; it must be at"),
    (0, {"log_every_n_steps": -1}, "trainer.log_every_n_steps is -1; it must not be negative"),
    (0, {"gradient_clip_val": -1.0}, "trainer.gradient_clip_val is -1.0"),
    (0, {"max_skipped_steps": 0}, "trainer.max_skipped_steps is 0"),
    (0, {"limit_train_batches": 0}, "trainer.limit_train_batches is 0: fit would read nothing"),
    (0, {"limit_val_batches": -3}, "trainer.limit_val_batches is -3"),
    (0, {"callbacks": AVERAGING}, "StochasticWeightAveraging counts epochs"),
]


TORCHRUN = [
    ({}, {"devices": 2, "num_nodes": 3}),
    ({"devices": "auto", "num_nodes": 3}, {"devices": 2, "num_nodes": 3}),
    ({"devices": 2}, {"devices": 2, "num_nodes": 3}),
    ({"devices": 1}, "trainer.devices is 1, but torchrun started 2 processes a machine"),
    ({"num_nodes": 2}, "trainer.num_nodes is 2, but torchrun started 6 processes, 2 each"),
]


@pytest.mark.parametrize(("given", "wanted"), TORCHRUN)
def test_devices_follow_torchrun_or_are_refused(devices, capsys, monkeypatch, given, wanted):
    devices(0)
    held = {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in held.items():
        monkeypatch.setenv(name, value)
    config = parsed({"num_nodes": 1, "devices": "auto"} | given)
    if isinstance(wanted, str):
        with pytest.raises(SystemExit, match="2"):
            refuse_impossible("fit", config)
        assert capsys.readouterr().err.strip() == wanted
    else:
        refuse_impossible("fit", config)
        assert {name: config.trainer[name] for name in wanted} == wanted


@pytest.mark.parametrize(("number", "trainer", "said"), IMPOSSIBLE)
def test_what_cannot_work_is_refused_in_one_line(devices, capsys, number, trainer, said):
    devices(number)
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed(trainer))
    output = capsys.readouterr().err
    assert said in output
    assert output.count("\n") == 1


POSSIBLE = [
    (0, {}),
    (0, {"precision": "bf16-mixed", "devices": 2, "strategy": "ddp"}),
    (0, {"strategy": FSDP2, "precision": "bf16-mixed", "accelerator": "cpu"}),
    (0, {"strategy": {"class_path": "benchmarks.bench.DeepSpeedOnCPU"}, "accelerator": "cpu"}),
    (2, {"strategy": FSDP2, "gradient_clip_algorithm": "norm"}),
    (2, {"strategy": DEEPSPEED, "precision": "16-mixed", "devices": "auto"}),
    (2, {"strategy": "fsdp", "devices": 2}),
    (2, {"plugins": BITSANDBYTES, "devices": -1}),
    (0, {"max_steps": -1, "max_time": "00:01:00:00"}),
    (0, {"max_steps": -1, "max_epochs": 2}),
    (0, {"max_steps": -1, "max_epochs": None}),
    (0, {"max_steps": -1, "fast_dev_run": True}),
    (0, {"val_check_interval": 0.25, "gradient_clip_val": 0, "log_every_n_steps": 0}),
    (0, {"val_check_interval": "00:00:10:00", "limit_val_batches": 0}),
    (0, {"callbacks": AVERAGING, "max_epochs": 3}),
]


@pytest.mark.parametrize(("number", "trainer"), POSSIBLE)
def test_what_can_work_is_left_alone(devices, number, trainer):
    devices(number)
    refuse_impossible("fit", parsed(trainer))


def test_only_a_fit_must_end(devices):
    devices(0)
    refuse_impossible("validate", parsed({"max_steps": -1}))


QUANTIZED = [
    ({"load_in_4bit": True}, FSDP2),
    ({"load_in_8bit": True}, FSDP2),
    ({"quantization": "nf4"}, FSDP2),
    ({"quantize": "nf4-double"}, FSDP2),
    ({"quantize": "int8"}, DEEPSPEED),
    ({"quantize": "nf4"}, ZERO),
    ({"quantize": "int8"}, "fsdp"),
]


@pytest.mark.parametrize(("options", "strategy"), QUANTIZED)
def test_quantized_weights_are_not_sharded(devices, capsys, options, strategy):
    devices(2)
    model = {"class_path": "a.B", "init_args": {"network": {"init_args": options}}}
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed({"strategy": strategy}, model=model))
    key = f"model.init_args.network.init_args.{next(iter(options))}"
    name = strategy if isinstance(strategy, str) else strategy["class_path"]
    assert capsys.readouterr().err.startswith(f"{key} makes weights that {name} cannot shard")
    refuse_impossible("fit", parsed({"strategy": "ddp"}, model=model))
    model["init_args"]["network"]["init_args"] = {"quantize": None}
    refuse_impossible("fit", parsed({"strategy": strategy}, model=model))


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_evaluation_of_nothing_is_refused(devices, capsys, command):
    devices(0)
    name = {"validate": "limit_val_batches"}.get(command, f"limit_{command}_batches")
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible(command, parsed({name: 0}))
    assert f"trainer.{name} is 0: {command} would read nothing" in capsys.readouterr().err


def learning(optimizer, schedule=None, **options):
    """A model with an optimizer and a schedule."""
    made = {"optimizer": {"class_path": optimizer, "init_args": options}}
    if schedule:
        made["scheduler"] = {"class_path": schedule[0], "init_args": schedule[1]}
    return {"class_path": "a.B", "init_args": made}


FAILING = [
    (learning(ADAMW, lr=-1.0), "optimizer: torch.optim.AdamW cannot be used: Invalid learning"),
    (learning(ADAMW, betas=[0.9, 1.5]), "Invalid beta parameter"),
    (learning("torch.optim.LBFGS"), "LBFGS cannot be used"),
    (learning("torch.optim.Muon"), "engine.optim.muon.MuonAdamW gives matrices to Muon"),
    (learning("torch.optim.SparseAdam"), "does not support dense gradients"),
    (learning("engine.optim.muon.MuonAdamW", lr=-0.1), "lr must not be negative"),
    (learning(ADAMW, (COSINE, {"total_steps": -1})), "scheduler: engine.optim.schedules.Warmup"),
    (learning(ADAMW, (f"{SCHEDULES}.OneCycleLR", {"max_lr": 0.1})), "OneCycleLR cannot be used"),
    (
        learning(ADAMW, (f"{SCHEDULES}.OneCycleLR", {"max_lr": 0.1, "total_steps": 9})),
        "OneCycleLR ends after 9 steps, and trainer.max_steps is 10",
    ),
    (learning(ADAMW, (f"{SCHEDULES}.ReduceLROnPlateau", {})), "with init_args.monitor"),
]


@pytest.mark.parametrize(("model", "said"), FAILING)
def test_optimizers_and_schedules_that_would_fail_later_are_refused(devices, capsys, model, said):
    devices(0)
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed({}, model=model))
    assert said in capsys.readouterr().err
    refuse_impossible("validate", parsed({}, model=model))


WORKING = ["AdamW", "SGD", "Adafactor", "RMSprop", "NAdam", "RAdam", "Adagrad", "Rprop", "ASGD"]


@pytest.mark.parametrize("name", WORKING)
def test_optimizers_that_work_are_left_alone(devices, name):
    devices(0)
    cycle = (f"{SCHEDULES}.OneCycleLR", {"max_lr": 0.1, "total_steps": 10, "cycle_momentum": False})
    refuse_impossible("fit", parsed({}, model=learning(f"torch.optim.{name}", cycle, lr=0.01)))


@pytest.mark.parametrize("strategy", [DEEPSPEED, ZERO])
def test_an_optimizer_of_matrices_takes_shards_but_no_flat_parts(devices, capsys, strategy):
    devices(2)
    model = learning("engine.optim.muon.MuonAdamW", lr=0.1)
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed({"strategy": strategy}, model=model))
    assert "MuonAdamW needs matrices, and" in capsys.readouterr().err
    for other in ("ddp", FSDP2):
        refuse_impossible("fit", parsed({"strategy": other}, model=model))


def test_an_optimizer_of_blocks_is_not_cut_by_deepspeed(devices, capsys):
    devices(2)
    model = learning("bitsandbytes.optim.AdamW8bit", lr=0.1)
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed({"strategy": ZERO}, model=model))
    assert "AdamW8bit keeps its state in blocks" in capsys.readouterr().err


@pytest.mark.parametrize(("heads", "shared", "works"), [(2, 5, False), (8, 3, False), (8, 2, True)])
def test_heads_that_cannot_be_shared_out_are_refused(devices, capsys, heads, shared, works):
    devices(0)
    options = {"num_attention_heads": heads, "num_key_value_heads": shared}
    network = {"class_path": "a.C", "init_args": {"options": options}}
    config = parsed({}, model={"class_path": "a.B", "init_args": {"network": network}})
    if works:
        refuse_impossible("fit", config)
        return
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", config)
    message = f"num_key_value_heads is {shared}, which does not divide num_attention_heads, {heads}"
    assert message in capsys.readouterr().err


def test_a_missing_checkpoint_brings_up_the_newest_one(devices, capsys, tmp_path):
    devices(0)
    logger = {"class_path": "engine.run.logger.RunLogger", "init_args": {"root": str(tmp_path)}}
    for age, name in enumerate(("new.ckpt", "old.ckpt")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (100 - age, 100 - age))
    with pytest.raises(SystemExit, match="2"):
        refuse_impossible("fit", parsed({"logger": logger}, ckpt_path="gone.ckpt"))
    message = capsys.readouterr().err.strip()
    newest = tmp_path / "new.ckpt"
    assert message == f"ckpt_path: no checkpoint gone.ckpt; the newest below {tmp_path} is {newest}"


@pytest.mark.parametrize("path", [None, "best", "hpc", "registry:a"])
def test_checkpoints_that_lightning_looks_up_are_left_to_it(devices, path):
    devices(0)
    refuse_impossible("fit", parsed({}, ckpt_path=path))


@pytest.mark.parametrize(
    ("given", "number"),
    [("auto", 0), (-1, 0), ("-1", 0), (2, 2), ("2", 2), ("0,3", 4), ("1,", 2), ([1], 2), ([], 0)],
)
def test_the_devices_a_machine_must_have(given, number):
    assert num_devices(given) == number


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--config", "configs/strategy/deepspeed_zero2.yaml"], "DeepSpeed needs a CUDA device"),
        (["--trainer.max_steps", "-1"], "the run would never end"),
        (["--ckpt_path", "gone.ckpt"], "ckpt_path: no checkpoint gone.ckpt"),
        (["--trainer.precision", "16-mixed"], "which a CPU lacks"),
    ],
)
def test_the_door_refuses_before_anything_is_built(monkeypatch, devices, capsys, flags, said):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli.CommandLine, "instantiate_classes", lambda _: pytest.fail("was built"))
    devices(0)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", "--config", TINY, *flags])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "strategy", [path.stem for path in sorted((ROOT / "configs" / "strategy").glob("*.yaml"))]
)
def test_the_strategies_that_are_shipped_pass_where_there_are_gpus(monkeypatch, devices, strategy):
    monkeypatch.chdir(ROOT)
    built = []
    monkeypatch.setattr(
        cli.CommandLine, "instantiate_classes", lambda _: built.append(1) or exit(0)
    )
    devices(2)
    layers = ["--config", TINY, "--config", f"configs/strategy/{strategy}.yaml"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["fit", *layers])
    assert built
