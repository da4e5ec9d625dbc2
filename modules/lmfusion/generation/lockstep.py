"""Keep ranks in lockstep during generation with sharded weights: every forward is a collective."""

import torch
import torch.distributed

from modules.lmfusion.network.fusion import FusionNetwork
from modules.weights.sharding import is_sharded


class Lockstep:
    """Keeps ranks with different prompts, or different numbers of them, in lockstep.

    Every forward pass gathers the weights from all ranks, so a rank that has finished makes dummy
    passes until all have. With unsharded weights nothing happens.

    Args:
        network: The network.
    """

    def __init__(self, network: FusionNetwork):
        self.network = network
        self.is_shared = is_sharded(network)

    def step(self) -> None:
        """Announce a forward pass of this rank."""
        if self.is_shared:
            self._busy(1)

    def wait(self) -> None:
        """Make dummy passes until all ranks have finished."""
        token = torch.zeros(1, 1, dtype=torch.int64, device=self.network.mark.device)
        while self.is_shared and self._busy(0):
            self.network.extend_text(token, self.network.empty_cache(1, 1))

    def _busy(self, own: int) -> bool:
        """Whether any rank makes a pass."""
        flag = torch.tensor(own, device=self.network.mark.device)
        torch.distributed.all_reduce(flag)
        return bool(flag)
