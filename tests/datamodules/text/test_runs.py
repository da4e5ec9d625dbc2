"""Runs of a trainer over text: resumed, evaluated, and overfitted on a few batches."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.synthetic.stories.source import StoryText
from datamodules.text.datamodule import TextData
from tests.fixtures.text_data import ready


class Diary(L.LightningModule):
    """Records the batches it sees."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[tuple[list[int], int, int]] = []

    def training_step(self, batch, batch_idx):
        self.batches.append((batch["row_B"], batch["num_targets"], batch["step_targets"]))
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("budget", [{"max_epochs": 3}, {"max_steps": 9}], ids=["epochs", "steps"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_sees_exactly_the_remaining_batches(make, tmp_path, budget, num_workers):
    def data() -> TextData:
        validate = [StoryText(31, seed=1)]
        return make(validate=validate, num_workers=num_workers, train=[StoryText(100)])

    def fit(folder, **options) -> Diary:
        diary = Diary()
        savers = [
            ModelCheckpoint(folder, save_top_k=-1, every_n_train_steps=1, filename="{step}"),
            ModelCheckpoint(
                folder, save_top_k=-1, filename="end-{epoch}", save_on_train_epoch_end=True
            ),
        ]
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        quiet |= {"accelerator": "cpu", "callbacks": savers, "accumulate_grad_batches": 3} | budget
        L.Trainer(**quiet).fit(diary, datamodule=data(), **options)
        return diary

    whole = fit(tmp_path).batches
    epoch = len(ready(data()).train_dataloader())
    steps = -(-epoch // 3)
    assert epoch % 3 != 0
    places = {f"step={step}": divmod(step, steps) for step in (1, steps, steps + 1)}
    done = {name: turns * epoch + rest * 3 for name, (turns, rest) in places.items()}
    for name, count in {**done, "end-epoch=0": epoch, "end-epoch=1": 2 * epoch}.items():
        again = fit(tmp_path / "again", ckpt_path=tmp_path / f"{name}.ckpt")
        assert again.batches == whole[count:], name


class Reader(L.LightningModule):
    """Writes down which rows every other command sees."""

    def __init__(self):
        super().__init__()
        self.rows: list[int] = []

    def validation_step(self, batch, batch_idx):
        self.rows += batch["row_B"]

    def test_step(self, batch, batch_idx):
        self.rows += batch["row_B"]

    def predict_step(self, batch, batch_idx):
        return batch["prompt"]


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_validates_tests_and_predicts(make):
    data = make(
        validate=[StoryText(31, seed=1)],
        test=[StoryText(20, seed=2)],
        prompts=["a", "b", "c"],
        eval_batch_size=2,
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer, reader = L.Trainer(accelerator="cpu", **quiet), Reader()
    trainer.validate(reader, data, verbose=False)
    assert [row for row in reader.rows if row >= 0] == list(range(len(data._rows["validate"])))
    assert "train" not in data._rows
    reader.rows = []
    trainer.test(reader, data, verbose=False)
    assert [row for row in reader.rows if row >= 0] == list(range(len(data._rows["test"])))
    assert trainer.predict(reader, data) == [["a", "b"], ["c"]]


@pytest.mark.filterwarnings("ignore")
def test_overfitting_on_two_batches_sees_only_those(make):
    diary = Diary()
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=3,
        overfit_batches=2,
    )
    trainer.fit(diary, datamodule=make(train=[StoryText(100)]))
    assert len(diary.batches) == 6
    assert diary.batches[:2] == diary.batches[2:4] == diary.batches[4:]
