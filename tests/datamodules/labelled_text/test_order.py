"""The order of training texts, across epochs, ranks, batch sizes and resumed runs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.stream.length_buckets import NUM_BUCKETS, Bucketed
from datamodules.stream.loader import ResumableLoader
from datamodules.stream.order import Draws, Mixture


@pytest.mark.parametrize(("balance", "share"), [(True, 0.5), (False, 2 / 3)])
def test_training_takes_classes_equally_often_if_it_should(data, balance, share):
    datamodule = data(balance=balance, batch_size=8, pool_size=1)
    datamodule.setup("fit")
    _, labels = datamodule.labelled_texts("train")
    assert sum(labels) / len(labels) == pytest.approx(2 / 3)
    batches = list(datamodule.train_dataloader())
    seen = torch.cat([batch["label_N"] for batch in batches]).float()
    assert seen.mean().item() == pytest.approx(share, abs=0.03)
    assert len(seen) == len(labels) // 8 * 8


def test_a_resumed_stream_goes_on_with_the_next_text(data):
    first, second = data(), data()
    for datamodule in (first, second):
        datamodule.setup("fit")
    whole = iter(first.train_dataloader())
    batches = [next(whole) for _ in range(5)]
    third = data()
    third.setup("fit")
    stream = iter(second.train_dataloader())
    for _ in range(3):
        next(stream)
    third.load_state_dict(second.state_dict())
    resumed = next(iter(third.train_dataloader()))
    assert resumed["row_N"] == batches[3]["row_N"]
    assert torch.equal(resumed["token_WL"], batches[3]["token_WL"])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 40), st.integers(0, 9))
def test_every_epoch_has_each_text_once_and_similar_lengths_come_together(num, pool, seed):
    lengths = np.random.default_rng(seed).integers(1, 50, num)
    order = Draws(Mixture([num], [1.0], seed))
    bucketed = Bucketed(order, lengths, pool, seed)
    for epoch in range(3):
        first, last = epoch * num, (epoch + 1) * num
        assert sorted(bucketed.items(first, last)) == sorted(order.items(first, last))
    assert [*bucketed.items(2, 3 * num)] == [*bucketed.items(0, 3 * num)[2:]]
    for first, last in pairwise(bucketed.bounds):
        batch_lengths = lengths[bucketed.items(first, last) % num]
        falls = sum(b < a for a, b in pairwise(batch_lengths.tolist()))
        assert falls < min(NUM_BUCKETS, last - first)  # it rises within each bucket
        assert max(1, pool / 2) <= last - first <= 1.5 * pool or len(bucketed.bounds) == 2


@settings(max_examples=40, deadline=None)
@given(
    st.integers(8, 80),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 3), st.integers(1, 9)),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 9),
)
def test_no_text_is_lost_or_repeated_when_ranks_and_batches_change(num, parts, seed):
    """Each part is a run with its own ranks, batch size and accumulation, for some steps."""
    lengths = np.random.default_rng(seed).integers(1, 50, num)

    def loaders(world, size, window):
        order = Bucketed(Draws(Mixture([num], [1.0], seed)), lengths, 24, seed)
        return [
            ResumableLoader(Places(), order, size, rank, world, window=window)
            for rank in range(world)
        ]

    state, seen = None, []
    for world, size, window, steps in parts:
        if world * size > num:
            continue
        made = loaders(world, size, window)
        if state is not None:
            for loader in made:
                loader.load_state_dict(state)
        streams = [iter(loader) for loader in made]
        for _ in range(steps):
            batches = [next(stream, None) for stream in streams]
            if batches[0] is None:  # the epoch of this trainer is over
                break
            seen += [place for batch in batches for place in batch["places"]]
        state = made[0].state_dict()
    alone = Bucketed(Draws(Mixture([num], [1.0], seed)), lengths, 24, seed)
    assert sorted(seen) == sorted(alone.items(0, len(seen)).tolist())
    whole = [place % num for place in seen[: len(seen) // num * num]]
    assert sorted(whole) == sorted([*range(num)] * (len(seen) // num))


class Places:
    """Items that are their own indices."""

    def batch(self, ids, num_real):
        return {"places": ids.tolist(), "num_targets": num_real}


@pytest.mark.parametrize("sizes", [(2, 4, 1, 4), (1, 4, 1, 8), (1, 3, 2, 5)])
def test_a_run_whose_ranks_or_batches_change_sees_what_one_process_sees(data, sizes):
    (world, size), (other_world, other_size) = sizes[:2], sizes[2:]
    rows, state = [], None
    for ranks, batch_size, steps in [
        (world, size, 3),
        (other_world, other_size, 2),
        (world, size, 2),
    ]:
        datamodules = [data(batch_size=batch_size) for _ in range(ranks)]
        for rank, datamodule in enumerate(datamodules):
            datamodule.replica = lambda rank=rank, ranks=ranks: (rank, ranks)
            datamodule.setup("fit")
            if state is not None:
                datamodule.load_state_dict(state)
        streams = [iter(datamodule.train_dataloader()) for datamodule in datamodules]
        for _ in range(steps):
            rows += [row for stream in streams for row in next(stream)["row_N"]]
        state = datamodules[0].state_dict()
    alone = data(batch_size=1)
    alone.setup("fit")
    loader = alone.train_dataloader()
    wanted = []
    while len(wanted) < len(rows):
        wanted += [row for batch in loader for row in batch["row_N"]]
    assert sorted(rows) == sorted(wanted[: len(rows)])
