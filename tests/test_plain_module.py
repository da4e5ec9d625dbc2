"""A LightningModule of somebody else's, and a torch DataLoader, through our command line."""

import sys

import lightning as L
import pytest
import torch
import yaml
from torch.utils.data import DataLoader, TensorDataset

from cli import main


class Plain(L.LightningModule):
    """Ten numbers to two classes."""

    def __init__(self, fails: bool = False):
        super().__init__()
        self.layer = torch.nn.Linear(10, 2)
        self.fails = fails

    def training_step(self, batch, batch_idx):
        if self.fails:
            raise ZeroDivisionError("the reason")
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.layer(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", torch.nn.functional.cross_entropy(self.layer(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PlainData(L.LightningDataModule):
    """Drawn once, the same every time."""

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 10, generator=generator)
        return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8)

    val_dataloader = train_dataloader


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config of the two, as modules of the repository would be named."""
    monkeypatch.setitem(sys.modules, "modules.plain", sys.modules[__name__])
    monkeypatch.setattr(Plain, "__module__", "modules.plain")
    monkeypatch.setattr(PlainData, "__module__", "modules.plain")
    path = tmp_path / "plain.yaml"
    logger = {
        "class_path": "engine.run.logger.RunLogger",
        "init_args": {"root": str(tmp_path / "runs")},
    }
    content = {
        "model": {"class_path": "modules.plain.Plain"},
        "data": {"class_path": "modules.plain.PlainData"},
        "trainer": {
            "accelerator": "cpu",
            "precision": "32-true",
            "max_steps": 12,
            "val_check_interval": 4,
            "log_every_n_steps": 4,
            "logger": logger,
        },
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_it_trains_reports_its_loss_and_validates(config, capsys):
    ema = '--trainer.callbacks+={"class_path": "callbacks.ema.EMA"}'
    main(["fit", f"--config={config}", ema])
    output = capsys.readouterr().out
    assert "step 12/12 · loss 0." in output
    assert "batches/s" in output
    last = next(config.parent.rglob("last.ckpt"))
    main(["fit", f"--config={config}", ema, f"--ckpt_path={last}", "--trainer.max_steps=16"])
    assert "step 16/16 · loss 0." in capsys.readouterr().out
    main(["validate", f"--config={config}", f"--ckpt_path={last}"])
    assert "val_loss" in capsys.readouterr().out


def test_an_error_in_its_first_step_is_told_as_it_is(config):
    with pytest.raises(ZeroDivisionError, match="the reason"):
        main(["fit", f"--config={config}", "--model.init_args.fails=true"])
