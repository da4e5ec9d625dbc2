"""The same batches from a seed, from a restored stream, and in a resumed run."""

from itertools import islice
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.image_text.datamodule import ImageTextData
from datamodules.images.files import ImageTextFolder
from datamodules.synthetic.shapes.source import ShapePairs
from tests.fixtures.image_text import QUIET, Diary, ready
from tests.fixtures.images import write_folder


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return first == second


def equal(first: dict[str, object], second: dict[str, object]) -> bool:
    return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)


def test_the_same_seed_gives_the_same_batches_and_another_one_others(make):
    def first(seed: int) -> dict[str, object]:
        return next(iter(ready(make(ShapePairs(60), image_size=32, seed=seed)).train_dataloader()))

    assert equal(first(1), first(1))
    assert first(1)["row_D"] != first(2)["row_D"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_restored_stream_continues_with_the_very_same_batches(make, num_workers):
    def data() -> ImageTextData:
        source = ShapePairs(20)
        return ready(make(source, image_size=32, num_workers=num_workers))

    def forever(data: ImageTextData):
        stream = data.train_dataloader()
        while True:
            yield from stream

    whole = list(islice(forever(data()), 16))
    for count in (1, 6, 9):
        first = data()
        head = list(islice(forever(first), count))
        second = data()
        second.load_state_dict(first.state_dict())
        tail = list(islice(forever(second), 16 - count))
        assert all(equal(*pair) for pair in zip(whole, head + tail, strict=True)), count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_sees_exactly_the_remaining_batches(make, tmp_path, num_workers):
    lines = [b'{"file_name": "none.png", "text": "a"}']
    source = ImageTextFolder(write_folder(tmp_path / "set", lines))

    def fit(folder: Path, **options) -> tuple[Diary, ImageTextData]:
        saver = ModelCheckpoint(folder, save_top_k=-1, every_n_train_steps=1, filename="{step}")
        data = make(
            source, num_workers=num_workers, bad_samples=str(folder), max_bad_rate=0.5, batch_size=2
        )
        diary = Diary()
        trainer = L.Trainer(
            callbacks=[saver], max_steps=8, accumulate_grad_batches=2, max_epochs=-1, **QUIET
        )
        trainer.fit(diary, datamodule=data, **options)
        return diary, data

    whole, data = fit(tmp_path / "a")
    assert data.state_dict()["samples"]["bad"] > 0
    for step in (1, 3, 4):  # within an epoch, at its end, in the second one
        again, other = fit(tmp_path / "b", ckpt_path=tmp_path / "a" / f"step={step}.ckpt")
        assert again.seen == whole.seen[len(whole.seen) - len(again.seen) :], step
        assert len(again.seen) in (2 * (8 - step), 2 * (8 - step) - 1)
        assert other.state_dict()["samples"] == data.state_dict()["samples"]
