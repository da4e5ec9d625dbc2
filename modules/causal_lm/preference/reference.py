"""The model as it was at the start, beside the model that is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from modules.causal_lm.lora import has_adapters
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import CausalLM
from modules.weights.origin import set_source, source_of

COPY = "copy_at_start"
"""Attribute of a system that holds the copy."""


class ReferencedLM(CausalLM):
    """A language model that is compared with itself at the start of training.

    With adapters the reference is the same model without them, and takes no memory. Otherwise it is
    a frozen copy. Its weights that were read from a source come from there again, and the
    checkpoint knows their fingerprint; those that were drawn at random are kept in checkpoints. So
    a resumed run has the reference of the first one.

    Attributes:
        has_reference: Whether a copy is made where there are no adapters.
        copy_at_start: The copy; None where there is none.
    """

    opens_as = CausalLM  # an exported one has no reference
    has_reference = True
    copy_at_start: LanguageModel | None

    @override
    def build(self) -> LanguageModel:
        network = super().build()
        is_copied = self.has_reference and not has_adapters(network.model)
        self.copy_at_start = frozen_copy(network) if is_copied else None
        return network

    @override
    def frozen(self) -> list[tuple[str, nn.Parameter]]:
        """Frozen parameters that have a source: the others of the copy are saved."""
        return [
            (name, parameter)
            for name, parameter in super().frozen()
            if not name.startswith(f"{COPY}.") or source_of(parameter) is not None
        ]

    @torch.no_grad()
    def reference_log_p(
        self, rows: tuple[Tensor, Tensor, Tensor, list[int]], temperature: float = 1.0
    ) -> Tensor:
        """Log-probability [B, L] of each label under the reference, without dropout."""
        if self.copy_at_start is not None:
            with evaluating(self.copy_at_start):
                return self.copy_at_start.log_p(rows, temperature)
        with evaluating(self.language_model), self.language_model.model.disable_adapter():
            return self.language_model.log_p(rows, temperature)


def frozen_copy(network: LanguageModel) -> LanguageModel:
    """A copy that is not trained, whose parameters know their source as the original's do."""
    copy = (
        deepcopy(network).requires_grad_(False).train()
    )  # in evaluation mode only when it is used
    for ours, theirs in zip(network.parameters(), copy.parameters(), strict=True):
        if (source := source_of(ours)) is not None:
            set_source(source, [theirs])
    return copy


@contextmanager
def evaluating(module: nn.Module) -> Iterator[Any]:
    """Within it, a module and all inside are in evaluation mode; then each is as it was."""
    were_training = [one for one in module.modules() if one.training]
    module.eval()
    try:
        yield module
    finally:
        for one in were_training:
            one.training = True
