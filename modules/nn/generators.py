"""Random generators by name: one for each text or image, whatever else is drawn in the batch.

What is drawn for a question then depends only on the seed, the question's name and the index of the
answer; not on the batch, its other rows, their order, ranks, or on what an earlier run has already
answered.

Shape legend: S = sequences, V = tokens.
"""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor


def seed_of(seed: int, *name: str | int) -> int:
    """A seed of 63 bits for a name under a seed; the same in every process and version.

    The name's parts are hashed with their kinds and lengths (BLAKE2b), so that `"1", "2"`, `"12"`
    and `1, 2` are unrelated, and so are neighbouring seeds.

    Args:
        seed: Of the run or of the way of generating.
        name: What identifies the draw, such as a question's id and the index of its answer.
    """
    parts = [f"{type(one).__name__}:{len(str(one))}:{one}" for one in (int(seed), *name)]
    data = "/".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") >> 1


def generator_of(seed: int, *name: str | int) -> torch.Generator:
    """The generator of a name under a seed (`seed_of`).

    It is a CPU's, so that the numbers are the same for models on every kind of device.
    """
    return torch.Generator().manual_seed(seed_of(seed, *name))


def draw(p_SV: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One token for each sequence, by the inverse of its cumulated distribution.

    A uniform number u in [0, 1) comes from each sequence's own generator, one a call; the token is
    the first whose cumulated probability exceeds u times the total, in double precision. So a
    change of the probabilities by rounding, as between a batch and a single row, changes the token
    with a probability of that size only.

    Args:
        p_SV: Probabilities, or shares that need not sum to 1; not negative.
        generators: One a sequence, on the CPU.

    Returns:
        Token ids [S], int64, on the device of the probabilities.

    Raises:
        ValueError: There is not one generator for each sequence; or the shares of a sequence do
            not sum to a positive number.
    """
    if len(generators) != len(p_SV):
        raise ValueError(f"{len(generators)} generators for {len(p_SV)} sequences")
    exact = torch.float32 if p_SV.device.type == "mps" else torch.float64  # there is no double
    sum_SV = p_SV.to(exact).cumsum(-1)
    total_S1 = sum_SV[:, -1:]
    is_sound_S = (total_S1 > 0) & total_S1.isfinite()
    if not bool(is_sound_S.all()):
        row = int((~is_sound_S).flatten().nonzero()[0])
        total = float(total_S1[row])
        raise ValueError(f"nothing can be drawn for sequence {row}: its shares sum to {total}")
    u = [torch.rand(1, generator=one, dtype=torch.float64) for one in generators]
    return inverse(sum_SV, torch.cat(u).to(p_SV.device, exact))


def inverse(sum_SV: Tensor, u_S: Tensor) -> Tensor:
    """The first token of each row whose cumulated share exceeds u times the total, [S].

    Args:
        sum_SV: Cumulated shares; their total need not be 1.
        u_S: Numbers in [0, 1).
    """
    at_S1 = u_S[:, None].to(sum_SV.dtype) * sum_SV[:, -1:]
    place_S1 = torch.searchsorted(sum_SV.contiguous(), at_S1, right=True)
    return place_S1[:, 0].clamp(max=sum_SV.shape[-1] - 1)
