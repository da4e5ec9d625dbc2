import lightning as L
import yaml

from engine.export.card import write_card
from engine.export.facts import Licences, training_facts
from tests.fixtures.checkpoints import saved

CONFIG = {
    "seed_everything": 7,
    "trainer": {"precision": "32-true"},
    "model": {
        "init_args": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}}}
    },
    "data": {
        "class_path": "a.Data",
        "init_args": {
            "train": [{"class_path": "a.Lines", "init_args": {"path": "x|y", "n": None}}]
        },
    },
}
METRICS = "step,train/loss,validate/loss\n3,1.0,\n4,,0.25\n9,,0.125\n"


def run(tmp_path):
    checkpoint = saved(tmp_path, 0, 5)
    folder = tmp_path / "0"
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "run.json").write_text('{"commit": "abc", "command": "python cli.py fit"}')
    return checkpoint


def card(facts, folder, licences, model):
    write_card(model, folder, facts, licences, "the weights", False)
    return (folder / "README.md").read_text()


def test_a_card_states_what_checkpoint_and_run_folder_know(tmp_path):
    path = run(tmp_path)
    held = {"global_step": 5, "num_targets": {"number": 12345, "unit": "tokens"}}
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A base\nlicense: no\n")
    model = L.LightningModule()
    model.sources = [str(base)]
    licences = Licences(model="mit", data="CC-BY-4.0")
    facts = training_facts(model, held, path, licences)
    text = card(facts, tmp_path, licences, model)
    assert yaml.safe_load(text.split("---")[1]) == {"license": "mit"}
    assert facts.rows["data"] == 'a.Data: Lines(path="x|y")'
    for line in (
        f"| base model | {base} |",
        "| licence of the base model | apache-2.0 |",
        "| licence of the data | CC-BY-4.0 |",
        "| optimizer steps | 5 |",
        "| targets | 12,345 tokens |",
        "| seed | 7 |",
        "| optimizer | SGD(lr=0.5) |",
        "| commit of the code | abc |",
        '| data | a.Data: Lines(path="x\\|y") |',
        "At step 4.",
        "| loss | 0.25 |",
    ):
        assert line in text, line
    assert (tmp_path / "training.yaml").read_text() == yaml.safe_dump(CONFIG)


def test_nothing_is_invented_of_a_checkpoint_that_lies_alone(tmp_path):
    path = saved(tmp_path, 0, 5)
    model = L.LightningModule()
    facts = training_facts(model, {"global_step": 5}, path, Licences())
    unknown = [name for name, value in facts.rows.items() if value == "not stated"]
    assert {"data", "licence of the data", "targets", "seed", "config", "command"} <= set(unknown)
    text = card(facts, tmp_path, Licences(), model)
    assert "license: unknown" in text
    assert "not stated: the run kept no validation" in text
    assert not (tmp_path / "training.yaml").exists()
