"""A config runs no code: it names classes of a list, never functions, and reads data alone."""

import functools
import os
import sys
from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace

from cli import main
from engine.config.trust import untrusted
from engine.config.yaml_size import too_many_aliases
from tests.fixtures.runs import refused, write_config

CONFIGS = Path(__file__).parents[3] / "configs"
HOSTILE = """
torch.hub.load torch.hub.download_url_to_file torch.load torch.save torch.jit.load
torch.package.PackageImporter torch.utils.model_zoo.load_url torch.nn.Module.load_state_dict
torch.distributed.checkpoint.load torch.distributed.run.main torch.os.system
torch.optim.AdamW.load_state_dict torch.optim.lr_scheduler.partial torch.nn.Linear
torch.optim.swa_utils.get_ema_avg_fn torch.utils.cpp_extension.load torch.serialization.load
lightning.pytorch.utilities.model_summary.summarize lightning.fabric.utilities.cloud_io._load
lightning.pytorch.callbacks.LambdaCallback lightning.pytorch.plugins.io.TorchCheckpointIO
lightning.pytorch.cli.instantiate_class lightning.pytorch.Trainer.fit
lightning.pytorch.trainer.call.os lightning.pytorch.callbacks.model_checkpoint.shutil
importlib.import_module builtins.eval operator.attrgetter functools.partial subprocess.Popen
yaml.unsafe_load jsonargparse.set_parsing_settings antigravity.geohash
engine.study.launch.run_apart engine.study.launch.subprocess
engine.study.grid.main engine.study.trial.replace
engine.checkpoint.io.write_manifest engine.checkpoint.io.SafeCheckpointIO.save_checkpoint
engine.run.record.commit modules.causal_lm.system.CausalLM.load_from_checkpoint
modules.vq.network.write_network modules.vq.network.json cli.main benchmarks.bench.harness.run
""".split()


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize(
    "wrap", [lambda spec: spec, lambda spec: [{"deep": Namespace(given=spec)}]]
)
def test_what_is_no_class_of_the_list_is_refused_at_any_depth_and_not_imported(path, wrap):
    before = set(sys.modules)
    refused_class = untrusted(wrap({"class_path": path}))
    assert refused_class is not None
    assert refused_class[0] == path
    assert {
        module for module in set(sys.modules) - before if module.split(".")[0] == "antigravity"
    } == set()


def test_functions_that_a_value_was_read_as_are_refused_and_defaults_of_code_are_not():
    import torch

    from engine.study.trial import write

    assert untrusted({"a": write}) is not None
    assert untrusted([functools.partial(write, Path("x"))]) is not None
    assert untrusted({"a": torch.optim.AdamW}) is None
    assert untrusted({"a": torch.nn.functional.relu}) is None  # the parser reads none of those


def test_the_environment_adds_packages_of_the_users_own(monkeypatch):
    assert untrusted({"class_path": "tests.engine.config.test_trust.Own"}) is not None
    monkeypatch.setenv("TRAINER_TRUSTED", "others, tests.engine")
    assert untrusted({"class_path": "tests.engine.config.test_trust.Own"}) is None
    assert untrusted({"class_path": "tests.fixtures.runs.fit"}) is not None


class Own:
    """A class of somebody else."""


def class_paths(node):
    if isinstance(node, dict):
        yield from ([node["class_path"]] if "class_path" in node else [])
        for value in node.values():
            yield from class_paths(value)
    elif isinstance(node, list):
        for value in node:
            yield from class_paths(value)


def test_every_class_that_a_config_of_ours_names_is_allowed():
    files = [yaml.safe_load(path.read_text()) for path in CONFIGS.rglob("*.yaml")]
    named = {path for file in files for path in class_paths(file)}
    named -= {path for path in named if "." not in path}  # short names are of our own classes
    more = ("torch.optim.lr_scheduler.OneCycleLR", "lightning.pytorch.callbacks.EarlyStopping")
    more += ("lightning.pytorch.loggers.WandbLogger", "lightning.pytorch.profilers.SimpleProfiler")
    assert len(named) > 60
    assert [path for path in {*named, *more} if untrusted({"class_path": path})] == []


SLOTS = ["network", *(pytest.param(x, marks=pytest.mark.slow) for x in ("optimizer", "scheduler"))]


@pytest.mark.parametrize("slot", SLOTS)
def test_torch_hub_in_a_config_runs_nothing(slot, tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    (tmp_path / "hubconf.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\ndef m(*_, **__): pass\n"
    )
    options = {"repo_or_dir": str(tmp_path), "model": "m", "source": "local", "trust_repo": True}
    held = yaml.safe_load(config.read_text())
    held["model"]["init_args"][slot] = {"class_path": "torch.hub.load", "init_args": options}
    config.write_text(yaml.safe_dump(held))
    with refused(rf"lines\.yaml: model\.init_args\.{slot}.* is torch\.hub\.load, which is not in"):
        main(["fit", f"--config={config}"])
    assert not (tmp_path / "ran").exists()


def test_checkpoints_are_never_read_as_code(tmp_path, text_file, tokenizer_folder):
    config = write_config(tmp_path, text_file, tokenizer_folder)
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"weights_only": False}))
    with refused("weights_only: checkpoints are read as data alone"):
        main(["validate", f"--config={config}"])


def test_aliases_that_grow_are_refused_at_once(tmp_path):
    path = tmp_path / "bomb.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("\n".join(lines))
    with refused(r"bomb\.yaml: its aliases stand for \d+ values, more than 100000"):
        main(["fit", f"--config={path}"])
    path.write_text("a: &a [*a]")
    assert "leads back to itself" in str(too_many_aliases(path))
    path.write_text("a: &a [1, 2]\nb: *a\nc: *a\n")
    assert too_many_aliases(path) is None
    assert os.path.getsize(path) < 100
