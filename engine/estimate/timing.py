"""How long a budget takes on paper."""

from dataclasses import dataclass

from engine.estimate.gpus import Gpu
from engine.measure.paper_step import PaperStep

DAY = 86_400


@dataclass(frozen=True)
class Pace:
    """How fast a config trains on one GPU of several that do not wait for one another.

    Attributes:
        step: A micro-batch.
        num_units: Tokens, or what else is counted, of a micro-batch.
        micro_batches: Of an optimizer step.
        max_steps: Optimizer steps of the config; -1 where something else ends it.
        gpu: Which.
        share: Of its rate that becomes model FLOPs (MFU): those of activations that are computed
            again do not count.
    """

    step: PaperStep
    num_units: int
    micro_batches: int
    max_steps: int
    gpu: Gpu
    share: float

    @property
    def model_flops(self) -> int:
        """Operations of a micro-batch that the mathematics needs."""
        return self.step.flops - self.step.recomputed

    @property
    def seconds(self) -> float:
        """Of an optimizer step."""
        return self.micro_batches * self.model_flops / (self.share * self.gpu.rate)

    @property
    def units_per_second(self) -> float:
        """On one GPU."""
        return self.micro_batches * self.num_units / self.seconds if self.seconds else 0.0

    @property
    def days(self) -> float | None:
        """Of all steps; None where their number is not given."""
        return self.max_steps * self.seconds / DAY if self.max_steps > 0 else None
