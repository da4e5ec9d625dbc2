import pytest
import yaml

from cli import main
from tests.fixtures.machine_texts import made_up, write
from tests.fixtures.runs import fit, last

OPTIONS = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "mlp_dropout": 0.1,
    "classifier_pooling": "mean",
}


@pytest.fixture(scope="session")
def config(tmp_path_factory, tokenizer_folder):
    """A tiny encoder with dropout on synthetic texts; machines give their names away."""
    folder = tmp_path_factory.mktemp("detector")
    path = write(made_up(num=25), folder / "texts.parquet")
    labels = {"path": str(path), "labels": {"1": "human", "0": "machine"}}
    network = {"class_path": "modules.classifier.network.FromConfig"}
    network["init_args"] = {"options": OPTIONS}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}}
    logger = {"class_path": "engine.run.logger.RunLogger"}
    logger["init_args"] = {"root": str(folder / "runs"), "tensorboard": False}
    model = {"network": network, "tokenizer": str(tokenizer_folder), "optimizer": optimizer}
    data = {
        "tokenizer": str(tokenizer_folder),
        "sources": [
            {"class_path": "datamodules.labelled_text.source.LabelledText", "init_args": labels}
        ],
        "train": {"split": "train", "budget": 40},
        "max_length": 48,
        "batch_size": 8,
        "cache": str(folder / "cache"),
    }
    options = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "max_steps": 4}
    callbacks = [{"class_path": "callbacks.scores.Scores"}]
    whole = {
        "model": {"class_path": "modules.classifier.system.TextClassifier", "init_args": model},
        "data": {
            "class_path": "datamodules.labelled_text.datamodule.LabelledTextData",
            "init_args": data,
        },
        "trainer": {**options, "log_every_n_steps": 1, "logger": logger, "callbacks+": callbacks},
    }
    path = folder / "tiny" / "lines.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(whole))
    return path


@pytest.fixture(scope="session")
def begun(config):
    """A run of four steps without validation."""
    return fit(config)


@pytest.fixture(scope="session")
def trained(config):
    """A run that has learnt, and was validated."""
    return fit(config, "--trainer.max_steps=40", "--trainer.val_check_interval=40")


@pytest.fixture(scope="session")
def exported(config, trained, tmp_path_factory):
    """Its Hugging Face folder."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    main(["export", f"--config={config}", last(trained), f"--folder={folder}"])
    return folder
