from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from datamodules.stream.loader import Batch, EvaluationLoader, ResumableLoader, total_targets
from datamodules.stream.order import Mixture
from tests.fixtures.streams import N, Numbers, loader


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


def test_overfitting_sees_the_same_batches_in_every_epoch():
    stream = loader(limit=3)
    stream.repeat_epoch()
    first, second = (seen(list(islice(stream, 3))) for _ in range(2))
    assert first == second
