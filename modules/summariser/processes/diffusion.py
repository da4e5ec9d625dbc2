"""What training and generation of a summariser have in common: its diffusion.

Shape legend: B = summaries, S = positions, V = vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor

from modules.diffusion.schedule import Schedule
from modules.summariser.marks import Marks
from modules.summariser.processes.process import Alphabet, Process
from modules.summariser.processes.simplex import SelfConditioning


@dataclass(frozen=True)
class Diffusion:
    """How summaries are corrupted and what a network sees of them.

    Attributes:
        process: What a summary becomes at a step, and how generation goes back.
        schedule: Signal left at each step.
        self_conditioning: What the network sees of its last prediction.
        marks: Marks of the tokenizer.
        block_size: Positions that are written together, after what is written before; None for
            the whole summary.
    """

    process: Process
    schedule: Schedule
    self_conditioning: SelfConditioning
    marks: Marks
    block_size: int | None = None

    def alphabet(self, vocabulary: int) -> Alphabet:
        """The tokens of a network."""
        return Alphabet(vocabulary, self.marks.mask)

    def seen(self, state: Tensor, before_BSV: Tensor | None, alphabet: Alphabet) -> Tensor:
        """Shares of all tokens, [B, S, V], as the network sees a state.

        Args:
            state: Of the process.
            before_BSV: Logits that were predicted one step before; None if there are none.
            alphabet: Tokens of the network.
        """
        return self.self_conditioning.input(self.process.shown(state, alphabet), before_BSV)
