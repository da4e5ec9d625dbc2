"""Every system that is exported computes the same in a process that knows the folder alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from cli import main
from engine.commands import export as command
from modules.causal_lm.export import probe_tokens
from tests.fixtures.lmfusion_small_run import write_config as write_fusion
from tests.fixtures.lmfusion_small_run import write_llama
from tests.fixtures.runs import fit, last, write_config

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "fixtures" / "open_exports.py"
EMA = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA", "init_args": {"decay": 0.5}}'
LM, TEXTS = "AutoModelForCausalLM", "AutoModelForSequenceClassification"
MASKED = json.dumps(
    {
        "class_path": "modules.summariser.network.masked_lm.FromConfig",
        "init_args": {
            "options": {
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "max_position_embeddings": 80,
            }
        },
    }
)
UNTRAINED = [
    ("graph", "nlgift/tiny", LM, []),
    ("icl", "icl/tiny", LM, []),
    ("jpeg", "jpeg_lm/digits", LM, []),
    ("avc", "avc_lm/moving_mnist", LM, []),
    ("detector", "detector/tiny", TEXTS, []),
    ("classifier", "classifier/newsroom", TEXTS, []),
    ("transfusion", "lmfusion/transfusion_tiny", None, []),
    ("summariser", "p3sum/tiny", None, []),
    ("masked summariser", "p3sum/tiny", "AutoModel", [f"--model.init_args.network={MASKED}"]),
]
"""Name, config, what others open it as, flags: systems whose random weights are as good as any."""


class Exports:
    """Folders that were exported, with the outputs of what was in memory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        self.listed: list[dict] = []
        self.wanted = self.inputs = None
        judge, write = command.refuse_difference, command.write

        def kept(wanted, found, model):
            self.wanted = wanted
            return judge(wanted, found, model)

        def seen(model, *args, **options):
            self.inputs = inputs_of(model)
            return write(model, *args, **options)

        monkeypatch.setattr(command, "refuse_difference", kept)
        monkeypatch.setattr(command, "write", seen)

    def add(self, name: str, config: Path, opens: str | None, *flags: str) -> Path:
        """Export, and keep what must come out again."""
        folder = self.folder / "exported" / name
        main(["export", f"--config={config}", f"--folder={folder}", *flags])
        assert (folder / "README.md").read_text().startswith("---\n")
        files = {"outputs": self.wanted, "inputs": self.inputs}
        for what, value in files.items():
            torch.save(value, self.folder / f"{name}.{what}")
        self.listed.append(
            {
                "name": name,
                "folder": str(folder),
                "opens": opens,
                "has_system": (folder / "system.json").is_file(),
                "draws": name in ("jpeg", "avc"),
                **{what: str(self.folder / f"{name}.{what}") for what in files},
            }
        )
        return folder


def inputs_of(model):
    """Tokens and mask that `outputs` of a model of transformers are of."""
    network = model.network
    if hasattr(network, "_probe_windows"):
        return network._probe_windows()
    if not hasattr(network, "readable"):
        return None
    token = probe_tokens(network.vocab_size, network.readable, "cpu")
    return token, torch.ones_like(token, dtype=torch.bool)


def with_model(config: Path, name: str, **options) -> Path:
    """The same config with other options of its system, under another name."""
    held = yaml.safe_load(config.read_text())
    kind = options.pop("class_path", held["model"]["class_path"])
    model = {"class_path": kind, "init_args": held["model"]["init_args"] | options}
    path = config.parent.parent / name / "tiny" / "lines.yaml"
    path.parent.mkdir(parents=True)
    held["trainer"]["logger"]["init_args"]["root"] = str(path.parents[1] / "runs")
    path.write_text(yaml.safe_dump(held | {"model": model}))
    return path


@pytest.mark.slow
def test_every_exported_folder_computes_in_a_fresh_process_what_was_trained(
    tmp_path, tokenizer_folder, text_file, monkeypatch
):
    exports = Exports(tmp_path, monkeypatch)
    plain = write_config(tmp_path / "lm", text_file, tokenizer_folder)
    run = fit(plain, EMA)
    small = "--max_shard_size=20KB"
    averaged = exports.add("averaged", plain, LM, last(run), small)
    raw = exports.add("raw", plain, LM, last(run), "--ema=false", small)
    assert len(list(raw.glob("model-*.safetensors"))) > 2
    assert "averaged over the training" in (averaged / "README.md").read_text()
    assert re.search(r"\| targets \| [\d,]{3,} tokens", (averaged / "README.md").read_text())
    assert "not their average" in (raw / "README.md").read_text()
    kind = "modules.causal_lm.network.Pretrained"
    adapters = {"source": str(averaged), "lora": {"rank": 2}}
    lora = with_model(plain, "lora", network={"class_path": kind, "init_args": adapters})
    run = fit(lora)
    exports.add("merged", lora, LM, last(run))
    folder = exports.add("adapter", lora, "peft", last(run), "--only_trained=true")
    assert not (folder / "model.safetensors").exists()
    dpo = "modules.causal_lm.preference.system.PreferenceLM"
    exports.add("preference", with_model(plain, "dpo", class_path=dpo), LM, "--untrained")
    fusion = write_fusion(tmp_path / "fusion", write_llama(tmp_path / "llama"), tokenizer_folder)
    run = fit(fusion)
    exports.add("fusion", fusion, None, last(run), "--max_shard_size=20KB")
    delta = exports.add("delta", fusion, None, last(run), "--only_trained=true")
    assert not (delta / "base").exists()
    for name, config, opens, flags in UNTRAINED:
        exports.add(name, ROOT / "configs" / f"{config}.yaml", opens, "--untrained", *flags)
    assert all(one["has_system"] for one in exports.listed)
    (tmp_path / "list.json").write_text(json.dumps(exports.listed))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "list.json"), str(ROOT)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lines = [line.rpartition(" ")[::2] for line in done.stdout.splitlines()]
    assert {name for name, said in lines if said == "draws"} == {"jpeg", "avc"}
    differences = {name: float(said) for name, said in lines if said != "draws"}
    assert differences.keys() == {one["name"] for one in exports.listed}
    assert max(differences.values()) < 1e-4, differences
