from collections import Counter
from collections.abc import Iterator
from itertools import islice

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.typing import NDArray

from datamodules.stream.datamodule import ResumableData
from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader, total_targets
from datamodules.stream.order import Mixture, apportion

N = 23


class Numbers:
    """Item i is the number i and has i + 1 targets."""

    def batch(self, ids: NDArray[np.int64], num_real: int) -> Batch:
        own = ids[:num_real]
        return {"x": torch.from_numpy(ids), "num_targets": int((own + 1).sum()), "real": num_real}


def loader(batch_size: int = 2, **options: int | float) -> ResumableLoader:
    return ResumableLoader(Numbers(), Mixture([N], [1.0], seed=1), batch_size, **options)


def forever(stream: ResumableLoader) -> Iterator[Batch]:
    """Epoch after epoch, as a trainer asks for them."""
    while True:
        yield from stream


def seen(batches: list[Batch]) -> list[tuple[list[int], object]]:
    return [(batch["x"].tolist(), batch["step_targets"]) for batch in batches]


@pytest.mark.parametrize("window", [1, 3])
def test_a_run_resumed_anywhere_sees_what_an_uninterrupted_one_sees(window):
    whole = seen(list(islice(forever(loader(window=window)), 30)))
    for k in range(25):
        first = loader(window=window)
        head = seen(list(islice(forever(first), k)))
        second = loader(window=window)
        second.load_state_dict(first.state_dict())
        tail = seen(list(islice(forever(second), 30 - k)))
        assert head + tail == whole, k


@pytest.mark.parametrize("window", [1, 3])
def test_a_run_with_workers_resumes_likewise(window):
    whole = seen(list(islice(forever(loader(window=window)), 16)))
    for k in (0, 4, 11, 12):
        first = loader(window=window, num_workers=2)
        head = seen(list(islice(forever(first), k)))
        second = loader(window=window, num_workers=2)
        second.load_state_dict(first.state_dict())
        assert head + seen(list(islice(forever(second), 16 - k))) == whole, k


def test_every_item_comes_once_before_any_comes_again():
    batches = list(islice(forever(loader(batch_size=1)), 3 * N))
    items = [batch["x"].item() for batch in batches]
    for turn in range(3):
        assert sorted(items[turn * N : (turn + 1) * N]) == list(range(N))
    assert items[:N] != items[N : 2 * N]


def test_what_fills_no_batch_opens_the_next_epoch():
    stream = loader(batch_size=5)
    assert len(stream) == 4
    items = [item for epoch in range(5) for batch in stream for item in batch["x"].tolist()]
    order = Mixture([N], [1.0], seed=1)
    assert items == order.items(0, 100).tolist()


def test_an_epoch_has_at_least_one_batch():
    assert len(loader(batch_size=50)) == 1
    assert len(next(iter(loader(batch_size=50)))["x"]) == 50


def take(world_size: int, count: int, state: dict[str, int] | None) -> tuple[list[int], dict]:
    """Items of `count` global batches on `world_size` ranks, and the state of rank 0."""
    ranks = [loader(rank=rank, world_size=world_size) for rank in range(world_size)]
    items = []
    for rank in ranks:
        if state is not None:
            rank.load_state_dict(state)
        items += [item for batch in islice(forever(rank), count) for item in batch["x"].tolist()]
    assert all(rank.state_dict() == ranks[0].state_dict() for rank in ranks)
    return items, ranks[0].state_dict()


@pytest.mark.parametrize("counts", [(3, 4, 2), (1, 1, 1), (6, 9, 4)])
def test_a_change_of_world_size_loses_and_repeats_nothing(counts):
    state, items = None, []
    for world_size, count in zip((2, 1, 2), counts, strict=True):
        more, state = take(world_size, count, state)
        items += more
    expected = Mixture([N], [1.0], seed=1).items(0, len(items))
    assert state is not None
    assert state["samples"] == len(items)
    assert Counter(items) == Counter(expected.tolist())


def test_ranks_take_neighbouring_parts_of_a_global_batch():
    first, second = (next(iter(loader(rank=rank, world_size=2)))["x"] for rank in (0, 1))
    order = Mixture([N], [1.0], seed=1)
    assert torch.cat([first, second]).tolist() == order.items(0, 4).tolist()


def test_a_changed_batch_size_goes_on_with_the_next_sample():
    first = loader(batch_size=2)
    list(islice(first, 3))
    second = loader(batch_size=5)
    second.load_state_dict(first.state_dict())
    expected = Mixture([N], [1.0], seed=1).items(6, 11)
    assert next(iter(second))["x"].tolist() == expected.tolist()


def test_changed_data_are_warned_about():
    state = loader().state_dict() | {"items": 7}
    with pytest.warns(UserWarning, match="7 items when the checkpoint was written, 23 now"):
        loader().load_state_dict(state)


def test_step_targets_are_the_sum_over_the_window():
    batches = list(loader(window=4))
    counts = [batch["num_targets"] for batch in batches]
    for i, batch in enumerate(batches):
        first = i - i % 4
        assert batch["step_targets"] == sum(counts[first : first + 4])


@pytest.mark.parametrize("limit", [5, 0.5])
def test_the_last_window_ends_where_the_trainer_ends_the_epoch(limit):
    batches = list(islice(loader(window=3, limit=limit), 5))
    counts = [batch["num_targets"] for batch in batches]
    assert [batch["step_targets"] for batch in batches] == [sum(counts[:3])] * 3 + [
        sum(counts[3:])
    ] * 2


def test_targets_of_several_kinds_are_summed_kind_by_kind():
    batches = [{"num_targets": {"text": 1}}, {"num_targets": {"text": 2, "image": 5}}]
    assert total_targets(batches) == {"text": 3, "image": 5}


def test_a_stream_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    list(loader())
    list(EvaluationLoader(Numbers(), N, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_live_on_from_epoch_to_epoch():
    stream = loader(num_workers=1)
    list(stream)
    first = stream._iterator
    list(stream)
    assert stream._iterator is first


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(("batch_size", "world_size"), [(1, 1), (5, 1), (5, 2), (4, 3), (30, 2)])
def test_evaluation_sees_every_item_once_and_all_ranks_take_as_many_batches(
    batch_size, world_size, num_workers
):
    items, lengths = [], []
    for rank in range(world_size):
        stream = EvaluationLoader(Numbers(), N, batch_size, rank, world_size, num_workers)
        batches = list(stream)
        lengths.append(len(batches))
        assert len(stream) == len(batches)
        assert all(len(batch["x"]) == batch_size for batch in batches)
        items += [i for batch in batches for i in batch["x"][: batch["real"]].tolist()]
        assert all(batch["step_targets"] == batch["num_targets"] for batch in batches)
    assert sorted(items) == list(range(N))
    assert len(set(lengths)) == 1


def test_evaluation_can_be_repeated():
    stream = EvaluationLoader(Numbers(), N, 4, num_workers=1)
    assert seen(list(stream)) == seen(list(stream))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0.01, 10)), min_size=1, max_size=4))
def test_a_mixture_goes_through_each_source_before_it_repeats_one(sources):
    sizes, weights = zip(*sources, strict=True)
    order = Mixture(sizes, weights, seed=3)
    ids = order.items(0, 5 * sum(sizes))
    bounds = np.cumsum([0, *sizes])
    for i, size in enumerate(sizes):
        own = ids[(ids >= bounds[i]) & (ids < bounds[i + 1])]
        assert len(own) == 5 * order.draws[i]
        for turn in range(len(own) // size):
            assert len(set(own[turn * size : (turn + 1) * size].tolist())) == size


def test_a_mixture_can_be_entered_anywhere():
    whole = Mixture([7, 4], [1.0, 2.0]).items(0, 60).tolist()
    for start in range(0, 60, 7):
        assert Mixture([7, 4], [1.0, 2.0]).items(start, 60).tolist() == whole[start:]


def test_shares_of_the_largest_weights_are_found_and_infinite_ones_refused():
    assert apportion(10, [1e308, 1e308]) == [5, 5]
    assert apportion(10, [1e-300, 1e300]) == [1, 9]
    for weight in (float("inf"), float("nan"), 0.0, -1.0):
        with pytest.raises(ValueError, match="weights must be above 0 and finite"):
            apportion(10, [1.0, weight])


@given(st.integers(5, 1000), st.lists(st.floats(0.001, 100), min_size=1, max_size=5))
def test_shares_sum_up_and_follow_the_weights(total, weights):
    counts = apportion(total, weights)
    assert sum(counts) == total
    assert min(counts) >= 1
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= len(weights)


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


def test_overfitting_sees_the_same_batches_in_every_epoch():
    stream = loader(limit=3)
    stream.repeat_epoch()
    first, second = (seen(list(islice(stream, 3))) for _ in range(2))
    assert first == second
