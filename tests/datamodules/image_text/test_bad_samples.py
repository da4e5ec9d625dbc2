"""Bad samples: listed, replaced, and too many of them."""

import json
from pathlib import Path

import lightning as L
import pytest
import torch

from datamodules.images.files import ImageTextFolder
from datamodules.synthetic.shapes.source import ShapePairs
from tests.fixtures.image_text import QUIET, Diary, ready
from tests.fixtures.images import NUM, bomb, encoded, write_folder

BAD = [
    (b'{"file_name": "cut.png", "text": "a"}', "a broken image"),
    (b'{"file_name": "none.png", "text": "a"}', "none.png is missing"),
    (b'{"file_name": "0.png", "text": "\xff"}', "not UTF-8"),
    (b'{"file_name": "empty.png", "text": "a"}', "an empty image file"),
    (b'{"file_name": "bomb.png", "text": "a"}', "a decompression bomb"),
    (b'{"file_name": "0.png", "text": "' + b"long " * 100 + b'"}', "but row_length is 64"),
]


def bad_folder(folder: Path) -> str:
    """Twelve good pairs and one of each bad kind."""
    path = write_folder(folder, [line for line, _ in BAD])
    (folder / "cut.png").write_bytes(encoded(0, 64)[:500])
    (folder / "empty.png").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb())
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_samples_are_listed_in_the_run_folder_and_replaced(make, tmp_path, num_workers):
    from lightning.pytorch.loggers import CSVLogger

    source = ImageTextFolder(bad_folder(tmp_path / "set"))
    options = {
        "max_bad_rate": 0.5,
        "caption_dropout": 0.0,
    }  # without its caption, the last one fits
    data = make(source, row_length=64, num_workers=num_workers, **options)
    diary, logger = Diary(), CSVLogger(tmp_path / "runs")
    quiet = QUIET | {"logger": logger, "enable_checkpointing": False}
    L.Trainer(max_epochs=1, **quiet).fit(diary, datamodule=data)
    lines = Path(logger.log_dir, "bad_samples.jsonl").read_text().splitlines()
    reasons = {row["origin"]: row["reason"] for row in map(json.loads, lines)}
    file = tmp_path / "set" / "metadata.jsonl"
    assert {*reasons} == {f"{file}:{NUM + 1 + i}" for i in range(len(BAD))}
    for number, (_, reason) in enumerate(BAD, start=NUM + 1):
        assert reason in reasons[f"{file}:{number}"]
    rows = [row for step in diary.seen for row in step[0]]
    assert len(rows) == NUM + len(BAD)
    assert {*rows} == {*range(NUM)}
    drawn = NUM + len(BAD)
    assert data.state_dict()["samples"] == {"drawn": drawn, "bad": len(BAD)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_bad_samples_stop_the_run(make, tmp_path, num_workers):
    source = ImageTextFolder(bad_folder(tmp_path / "set"))
    data = make(source, row_length=64, bad_samples=str(tmp_path), num_workers=num_workers)
    with pytest.raises(ValueError, match=r"max_bad_rate=1\.00%.*bad_samples\.jsonl"):
        L.Trainer(max_epochs=1, enable_checkpointing=False, **QUIET).fit(Diary(), datamodule=data)


def test_where_all_samples_are_bad_a_batch_is_empty_and_names_them(make, tmp_path):
    lines = [b'{"file_name": "none.png", "text": "a"}'] * 3
    source = ImageTextFolder(write_folder(tmp_path, lines, num=0))
    data = ready(make(source, batch_size=1))
    batch = next(iter(data.train_dataloader()))
    assert batch["row_D"] == [-1]
    assert batch["num_targets"] == {"text": 0, "later": 0, "image": 0}
    assert len(batch["bad_samples"]) == 1


@pytest.mark.filterwarnings("ignore")
def test_evaluation_sees_every_good_document_once(make, tmp_path):
    source = ImageTextFolder(bad_folder(tmp_path / "set"))
    data = make(
        ShapePairs(1),
        validate=[source],
        row_length=64,
        eval_batch_size=5,
        max_bad_rate=0.5,
        bad_samples=str(tmp_path),
    )
    diary = Diary()
    L.Trainer(enable_checkpointing=False, **QUIET).validate(diary, data, verbose=False)
    assert [row for rows in diary.seen for row in rows if row >= 0] == list(range(NUM))
    assert all(len(rows) == 5 for rows in diary.seen)
    rows = (tmp_path / "bad_samples.jsonl").read_text().splitlines()
    assert [json.loads(row)["stage"] for row in rows] == ["validate"] * len(BAD)
    for batch in data.val_dataloader():
        real = torch.tensor(batch["row_D"]) >= 0
        document_T = batch["document_S"][: len(batch["token_T"])]
        assert (batch["label_T"][~real[document_T]] == -100).all()
        assert batch["num_targets"]["image"] == int(real.sum())
