"""Generation where ranks hold parts of the weights: every call of the network is one of all."""

import torch
import torch.distributed

from modules.lmfusion.network.fusion import FusionNetwork
from modules.weights.sharding import is_sharded


class Lockstep:
    """Keeps ranks in step that have different prompts, or different numbers of them.

    Every call of the network gathers the same weights whatever it computes, so a rank that is done
    calls it for nothing until all are done. Where weights are whole, nothing happens.

    Args:
        network: The network.
    """

    def __init__(self, network: FusionNetwork):
        self.network = network
        self.is_shared = is_sharded(network)

    def step(self) -> None:
        """Say, before a call of the network, that this rank goes on."""
        if self.is_shared:
            self._busy(1)

    def wait(self) -> None:
        """Call the network until no rank goes on any more."""
        token = torch.zeros(1, 1, dtype=torch.int64, device=self.network.mark.device)
        while self.is_shared and self._busy(0):
            self.network.extend_text(token, self.network.empty_cache(1, 1))

    def _busy(self, own: int) -> bool:
        """Whether any rank goes on."""
        flag = torch.tensor(own, device=self.network.mark.device)
        torch.distributed.all_reduce(flag)
        return bool(flag)
