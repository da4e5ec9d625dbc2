"""What is shared among ranks."""

import pytest

from modules.base.rank_share import RankShare


@pytest.mark.parametrize("num", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_rank_takes_equally_many_and_together_they_take_all(num, world):
    shares = [RankShare(rank, world).of(num) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert {number for share in shares for number in share} == set(range(num))
