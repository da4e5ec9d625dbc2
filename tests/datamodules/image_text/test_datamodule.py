import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from datamodules.image_text.datamodule import ImageTextData
from datamodules.images.files import ImageTextFolder
from datamodules.images.interleaved import InterleavedJsonl
from datamodules.images.parquet import ImageTextParquet
from datamodules.synthetic.shapes.source import ShapePairs
from datamodules.text.tokenizer import load_tokenizer
from modules.lmfusion.batch import ImageTextBatch
from tests.fixtures.images import NUM, bomb, caption, encoded, write_folder

BOI, EOI = -1, -2


@pytest.fixture
def make(tokenizer_folder):
    """Builds data of small images."""

    def build(*train, **options) -> ImageTextData:
        options = {"image_size": 8, "num_patches": 4, "batch_size": 3} | options
        return ImageTextData(tokenizer_folder, list(train), **options)

    return build


def ready(data: ImageTextData, stage: str = "fit") -> ImageTextData:
    data.prepare_data()
    data.setup(stage)
    return data


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return first == second


def equal(first: dict[str, object], second: dict[str, object]) -> bool:
    return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)


def orders(data: ImageTextData, epochs: int) -> Counter[str]:
    """How often each form of a document came, by the kinds of its runs."""
    forms: Counter[str] = Counter()
    stream = data.train_dataloader()
    for batch in (batch for _ in range(epochs) for batch in stream):
        runs = [[] for _ in batch["row_D"]]
        for kind, document, size in zip(
            batch["kind_N"], batch["document_N"], batch["length_N"], strict=True
        ):
            runs[document].append("ptI"[kind] + str(size))
        forms.update("text" if r[0] != "p1" else "image" + r[-1][0] for r in runs)
    return forms


def test_a_batch_holds_start_caption_image_or_start_image_caption_end(make, tmp_path):
    vocabulary = load_tokenizer(make(ShapePairs(1)).tokenizer)
    source = ImageTextFolder(write_folder(tmp_path, num=1))
    [ids] = vocabulary.encode([caption(0)])
    for caption_first, expected in (
        (1.0, [vocabulary.start, *ids, BOI]),
        (0.0, [vocabulary.start, BOI, EOI, *ids, vocabulary.eos]),
    ):
        data = ready(make(source, caption_first=caption_first, caption_dropout=0.0, batch_size=1))
        batch = next(iter(data.train_dataloader()))
        assert batch["token_T"].tolist() == expected
        assert batch["is_first_I"].tolist() == [caption_first == 0.0]
        assert batch["is_target_I"].tolist() == [True]
        assert batch["latent_ICHW"].shape == (1, 3, 8, 8)
        assert batch["step_targets"] == batch["num_targets"]
        last = {1.0: BOI, 0.0: vocabulary.eos}[caption_first]
        assert last in batch["label_T"].tolist()


def test_a_batch_holds_what_the_system_claims_and_nothing_else(make):
    data = ready(make(ShapePairs(9), validate=[ShapePairs(9)], image_size=32))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert {*next(iter(loader))} == {*ImageTextBatch.__annotations__}


def test_caption_order_and_dropout_have_their_rates_and_change_from_epoch_to_epoch(make):
    data = ready(make(ShapePairs(60), batch_size=4, image_size=32, num_patches=4))
    forms = orders(data, 10)
    total = forms.total()
    dropped = forms["imageI"]
    first = forms["text"]
    assert total == 600
    assert first / total == pytest.approx(0.8 * 0.9, abs=0.06)
    assert dropped / total == pytest.approx(0.8 * 0.1, abs=0.04)
    stream = data.train_dataloader()
    seen: dict[int, set[tuple[int, ...]]] = {}
    for _ in range(3):
        for batch in stream:
            document_T = batch["document_S"][: len(batch["token_T"])]
            for d, row in enumerate(batch["row_D"]):
                own = batch["token_T"][document_T == d].tolist()
                seen.setdefault(row, set()).add(tuple(own))
    assert len(seen) == 60
    assert sum(len(forms) > 1 for forms in seen.values()) > 30


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


class Diary(L.LightningModule):
    """Writes down what it sees."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[object] = []

    def training_step(self, batch, batch_idx):
        self.seen.append((batch["row_D"], batch["token_T"].tolist(), batch["step_targets"]))
        assert "bad_samples" not in batch
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx):
        self.seen.append(batch["row_D"])

    def test_step(self, batch, batch_idx):
        self.seen.append(batch["row_D"])

    def predict_step(self, batch, batch_idx):
        return batch["prompt"]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


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


def test_interleaved_documents_keep_their_order(make, tmp_path):
    write_folder(tmp_path, num=2)
    segments = [{"image": "0.png"}, {"text": "make it red"}, {"generate": "1.png"}]
    (tmp_path / "edits.jsonl").write_text(json.dumps({"segments": segments}) + "\n")
    data = ready(make(InterleavedJsonl(str(tmp_path / "edits.jsonl")), batch_size=1))
    vocabulary = load_tokenizer(data.tokenizer)
    [ids] = vocabulary.encode(["make it red"])
    for batch in data.train_dataloader():
        assert batch["token_T"].tolist() == [vocabulary.start, BOI, EOI, *ids, BOI]
        assert batch["is_target_I"].tolist() == [False, True]
        assert batch["is_first_I"].tolist() == [True, False]


def forms(data: ImageTextData, *sources: object) -> Counter[str]:
    """How often each form of one document comes in 400 draws: T = text, i = context, I = target."""
    composer, counts = ready(data)._composer("train"), Counter()
    for number in range(400):
        rng = Random(number)
        document = composer.document(sources[0].sample(0, rng), rng)
        letters = ["T" if isinstance(s, list) else "iI"[s.is_target] for s in document[1:]]
        counts["".join(letters)] += 1
    return counts


def test_an_image_before_its_caption_is_clean_context_where_asked_for(make):
    counts = forms(make(ShapePairs(1), image_size=32, image_first="clean"), ShapePairs(1))
    assert {*counts} == {"TI", "I", "iTT"}  # the end token is a text of its own
    assert counts["iTT"] / 400 == pytest.approx(0.2, abs=0.06)
    options = {"image_first": "clean", "caption_first": 0.0, "batch_size": 1}
    data = ready(make(ShapePairs(1), image_size=32, **options))
    batch = next(iter(data.train_dataloader()))
    assert batch["is_target_I"].tolist() == [False]
    assert (batch["num_read"], batch["num_targets"]["image"]) == (0, 0)


def test_captions_are_dropped_for_edits_as_well(make, tmp_path):
    write_folder(tmp_path, num=2)
    edit = [{"image": "0.png"}, {"text": "make it red"}, {"generate": "1.png"}]
    captioned = [{"image": "0.png"}, {"text": "a red disc"}]
    for segments, expected in ((edit, {"iTI": 0.75, "iI": 0.25}), (captioned, {"iTT": 1.0})):
        (tmp_path / "page.jsonl").write_text(json.dumps({"segments": segments}) + "\n")
        source = InterleavedJsonl(str(tmp_path / "page.jsonl"))
        counts = forms(make(source, caption_dropout=0.25), source)
        assert {*counts} == {*expected}
        for form, share in expected.items():
            assert counts[form] / 400 == pytest.approx(share, abs=0.07)


def test_a_mixture_follows_its_weights(make):
    sources = [ShapePairs(40, weight=1.0), ShapePairs(40, seed=1, weight=3.0)]
    data = ready(make(*sources, image_size=32, batch_size=4))
    rows = [row for batch in data.train_dataloader() for row in batch["row_D"]]
    assert sum(row >= 40 for row in rows) / len(rows) == pytest.approx(0.75, abs=0.02)


def test_captions_can_train_a_tokenizer(make, tmp_path):
    source = ImageTextFolder(write_folder(tmp_path, [b"{"]))
    assert list(make(source).training_documents()) == [caption(i) for i in range(NUM)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"row_length": 5}, "row_length must be at least 6, got 5"),
        ({"num_patches": 5}, "num_patches must be a square whose side divides image_size=8, got 5"),
        ({"num_patches": 9}, "got 9"),
        ({"caption_first": 1.5}, r"caption_first must be within \[0, 1\], got 1.5"),
        ({"max_bad_rate": -1.0}, "max_bad_rate"),
    ],
)
def test_a_bad_config_is_refused_at_once(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(ShapePairs(1), **options)


def test_missing_sources_are_refused(make):
    with pytest.raises(ValueError, match="train is empty"):
        make()
    with pytest.raises(ValueError, match=r"weight of shapes:train:1:0 must be above 0"):
        make(ShapePairs(1, weight=0.0))
    with pytest.raises(ValueError, match=r"data\.init_args\.test"):
        ready(make(ShapePairs(1)), "test").test_dataloader()
    assert ready(make(ShapePairs(1))).val_dataloader() == []


def test_channels_that_pixels_do_not_have_are_refused_before_the_run(make):
    with pytest.raises(ValueError, match="pixels have 3 channels"):
        ready(make(ShapePairs(1), channels=4))


def test_the_yaml_names_sources_by_class(tokenizer_folder):
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_subclass_arguments(ImageTextData, "data")
    source = {
        "class_path": "datamodules.synthetic.shapes.source.ShapePairs",
        "init_args": {"num": 5},
    }
    options = {"tokenizer": tokenizer_folder, "train": [source]}
    config = {"class_path": "datamodules.image_text.datamodule.ImageTextData", "init_args": options}
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert [type(source) for source in data.sources["train"]] == [ShapePairs]


@pytest.mark.skipif("TRAINER_DATA" not in os.environ, reason="TRAINER_DATA is not set")
def test_the_emoji_come_as_batches(make, tmp_path):
    path = Path(os.environ["TRAINER_DATA"], "emoji", "emoji32.parquet")
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    source = ImageTextParquet(str(path), where={"split": "val"}, cache=str(tmp_path))
    data = ready(make(source, validate=[source], image_size=32, num_patches=64, batch_size=32))
    seen = [row for batch in data.val_dataloader() for row in batch["row_D"] if row >= 0]
    assert seen == list(range(136))
    batch = next(iter(data.train_dataloader()))
    assert batch["latent_ICHW"].shape == (32, 3, 32, 32)
    assert batch["latent_ICHW"].abs().max() <= 1.0
