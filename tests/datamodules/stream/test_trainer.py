"""Trainers that resume a stream, interrupted or not."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import EvaluationLoader, ResumableLoader
from tests.fixtures.streams import N, Numbers, loader


class Diary(L.LightningModule):
    """Records the batches it sees, and stops the run at a given step."""

    def __init__(self, stop_after: int | None = None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches: list[tuple[list[int], object]] = []
        self.stop_after = stop_after

    def training_step(self, batch, batch_idx):
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        self.batches.append((batch["x"].tolist(), batch["step_targets"]))
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder, **options) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    saver = ModelCheckpoint(folder, save_top_k=-1, every_n_train_steps=1, filename="{step}")
    return L.Trainer(accelerator="cpu", callbacks=[saver], **quiet, **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("with_validation", [False, True])
@pytest.mark.parametrize(
    ("window", "options"),
    [(1, {}), (3, {}), (3, {"limit_train_batches": 7})],
    ids=["plain", "accumulating", "limited"],
)
def test_a_resumed_trainer_sees_exactly_the_remaining_batches(
    tmp_path, window, options, with_validation
):
    options = options | {"max_epochs": 3, "accumulate_grad_batches": window}
    limit = {"limit": options.get("limit_train_batches", 1.0)}
    validation = EvaluationLoader(Numbers(), N, 4) if with_validation else None

    def stream() -> ResumableLoader:
        return loader(window=window, **limit)

    diary = Diary()
    trainer(tmp_path, **options).fit(diary, stream(), validation)
    whole = diary.batches
    epoch = len(whole) // 3
    steps = -(-epoch // window)
    for step in (1, 2, steps - 1, steps, steps + 1, 2 * steps):
        turns, place = divmod(step, steps)
        done = turns * epoch + place * window
        resumed = Diary()
        checkpoint = tmp_path / f"step={step}.ckpt"
        trainer(tmp_path / "again", **options).fit(
            resumed, stream(), validation, ckpt_path=checkpoint
        )
        assert resumed.batches == whole[done:], step


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_that_was_interrupted_goes_on_from_its_last_checkpoint(tmp_path):
    diary = Diary()
    trainer(tmp_path / "a", max_epochs=2).fit(diary, loader())
    broken = Diary(stop_after=5)
    with pytest.raises(SystemExit):
        trainer(tmp_path / "b", max_epochs=2).fit(broken, loader(num_workers=2))
    resumed = Diary()
    trainer(tmp_path / "c", max_epochs=2).fit(
        resumed, loader(num_workers=2), ckpt_path=tmp_path / "b" / "step=5.ckpt"
    )
    assert broken.batches + resumed.batches == diary.batches


class NumberData(ResumableData):
    def train_dataloader(self) -> ResumableLoader:
        return self.resume(loader())


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_at_the_end_of_an_epoch_resumes_with_the_next_one(tmp_path):
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options |= {"accelerator": "cpu", "max_epochs": 3}
    diary = Diary()
    saver = ModelCheckpoint(
        tmp_path, save_top_k=-1, filename="{epoch}", save_on_train_epoch_end=True
    )
    L.Trainer(callbacks=[saver], **options).fit(diary, datamodule=NumberData())
    for epoch in (0, 1):
        resumed = Diary()
        L.Trainer(enable_checkpointing=False, **options).fit(
            resumed, datamodule=NumberData(), ckpt_path=tmp_path / f"epoch={epoch}.ckpt"
        )
        assert resumed.batches == diary.batches[(epoch + 1) * 11 :]
