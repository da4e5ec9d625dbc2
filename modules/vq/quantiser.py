"""A codebook of running means (van den Oord et al., 2017, app. A.1).

Shape legend: N = vectors, K = codes, D = width of a code.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

LEAST = 1e-6
"""Number of vectors below which a code stays where it is."""


def nearest_code(z_ND: Tensor, code_KD: Tensor) -> Tensor:
    """Index of the code nearest to each vector (eq. 1), int64 [N]; of equals the first.

    |z - e|^2 = |z|^2 - 2 z e + |e|^2, whose first term is the same for all codes.
    """
    return (code_KD.square().sum(1) - 2 * z_ND @ code_KD.T).argmin(1)


def straight_through(z: Tensor, quantised: Tensor) -> Tensor:
    """The quantised vectors, whose gradient goes to the vectors as they were (sec. 3.2)."""
    return z + (quantised - z).detach()


def exact(x: Tensor) -> Tensor:
    """A tensor without its graph, in double precision where the device has it."""
    return x.detach().to(torch.float32 if x.device.type == "mps" else torch.float64)


def code_sums(z_ND: Tensor, index_N: Tensor, num_codes: int) -> tuple[Tensor, Tensor]:
    """How many vectors went to each code [K], and their sum [K, D].

    Args:
        z_ND: Vectors.
        index_N: The code of each.
        num_codes: K.
    """
    wide_ND = exact(z_ND)
    sum_KD = wide_ND.new_zeros(num_codes, z_ND.shape[1]).index_add_(0, index_N, wide_ND)
    return exact(torch.bincount(index_N, minlength=num_codes)), sum_KD


def perplexity(count_K: Tensor) -> Tensor:
    """How many codes, used alike, have the entropy of these: K where all are, 1 where one is."""
    share_K = exact(count_K) / count_K.sum().clamp(min=1)
    return torch.special.entr(share_K).sum().exp()


class VectorQuantiser(nn.Module):
    """K codes of width D; each is the running mean of the vectors that came to it.

    With n_i vectors at code i in a step, whose sum is s_i:

        N_i <- decay N_i + (1 - decay) n_i,   m_i <- decay m_i + (1 - decay) s_i,   e_i = m_i / N_i

    (eq. 6 to 8). A code that too few vectors come to is dead: it moves to one of them
    (Dhariwal et al., 2020, sec. 3.1). All codes are initialised so.

    Args:
        num_codes: K.
        code_size: D.
        decay: The paper's gamma.
        revive_below: A code is dead where N_i is less than this share of the mean over all codes;
            at 0 none ever is.

    Raises:
        ValueError: A number is out of bounds.
    """

    code_KD: Tensor
    count_K: Tensor
    sum_KD: Tensor
    has_begun: Tensor

    def __init__(
        self, num_codes: int, code_size: int, decay: float = 0.99, revive_below: float = 0.05
    ):
        super().__init__()
        if num_codes < 2 or code_size < 1:
            raise ValueError(
                f"a codebook has two codes of width 1 or more, got {num_codes} of {code_size}."
            )
        if not (0 <= decay < 1 and 0 <= revive_below < 1):
            raise ValueError(
                f"decay and revive_below must be within [0, 1), got {decay} and {revive_below}."
            )
        self.num_codes = num_codes
        self.decay = decay
        self.revive_below = revive_below
        self.register_buffer("code_KD", torch.randn(num_codes, code_size, dtype=torch.float32))
        self.register_buffer("count_K", torch.ones(num_codes, dtype=torch.float32))
        self.register_buffer("sum_KD", self.code_KD.clone())
        self.register_buffer("has_begun", torch.tensor(False))

    @override
    def forward(self, z_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [N, D] of vectors, without a gradient, and their indices [N]; in float32."""
        code_KD = self.code_KD.float()
        with torch.autocast(z_ND.device.type, enabled=False):
            index_N = nearest_code(z_ND.detach().float(), code_KD)
        return code_KD[index_N], index_N

    @torch.no_grad()
    def begin(self, vector_KD: Tensor) -> None:
        """Initialise the codes with vectors.

        Args:
            vector_KD: One for each code; the same on every rank.
        """
        self.code_KD.copy_(vector_KD)
        self.sum_KD.copy_(vector_KD)
        self.count_K.fill_(1.0)
        self.has_begun.fill_(True)

    @torch.no_grad()
    def update(self, count_K: Tensor, sum_KD: Tensor, vector_KD: Tensor) -> Tensor:
        """Move the codes (eq. 6 to 8), and dead ones to where vectors are.

        Args:
            count_K: Vectors of the step at each code, n_i; of all ranks.
            sum_KD: Their sum, s_i; of all ranks.
            vector_KD: A vector of the step for each code, should it be dead; the same on all ranks.

        Returns:
            How many codes were dead, a scalar.
        """
        new = 1 - self.decay
        self.count_K.lerp_(count_K.to(self.count_K.dtype), new)
        self.sum_KD.lerp_(sum_KD.to(self.sum_KD.dtype), new)
        mean_KD = self.sum_KD / self.count_K.clamp(min=LEAST)[:, None]
        self.code_KD.copy_(torch.where(self.count_K[:, None] > LEAST, mean_KD, self.code_KD))
        return self._revive(vector_KD)

    def _revive(self, vector_KD: Tensor) -> Tensor:
        """Move dead codes; each counts as much as it takes to live for a while."""
        mean = self.count_K.mean()
        is_dead_K = self.count_K < self.revive_below * mean
        vector_KD = vector_KD.to(self.code_KD.dtype)
        again = 2 * self.revive_below * mean
        self.count_K.copy_(torch.where(is_dead_K, again, self.count_K))
        self.code_KD.copy_(torch.where(is_dead_K[:, None], vector_KD, self.code_KD))
        self.sum_KD.copy_(torch.where(is_dead_K[:, None], again * vector_KD, self.sum_KD))
        return is_dead_K.sum()
