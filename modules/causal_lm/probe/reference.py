"""A small model of an architecture, by itself: its own reading of each text.

Weights are random, and larger than standard initialisation makes them, which hides what documents
see of one another.

Shape legend: B = rows, L = row length, N = documents, V = vocabulary.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.probe.shrink import shrink
from modules.causal_lm.probe.windows import POSITIONS, WINDOW

SPREAD = 0.25
"""Standard deviation of the weights; less in matrices of more than 64 columns."""
MOST_PARAMETERS = 300_000_000
"""Of a model that could only be shrunk in its layers."""


@dataclass(frozen=True)
class Rows:
    """Two packed rows: documents in order, and the padding after them.

    Attributes:
        length_N: Lengths of the documents and of the padding.
        paddings: Which of them are padding.
    """

    length_N: tuple[int, ...]
    paddings: tuple[int, ...]

    @cached_property
    def tokens(self) -> Tensor:
        """Ids [B, L], apart from those that often are special ones."""
        generator = torch.Generator().manual_seed(1)
        token = torch.randint(4, POSITIONS // 2, (2, sum(self.length_N) // 2), generator=generator)
        return token

    @cached_property
    def positions(self) -> Tensor:
        """Places inside the document, [B, L]."""
        return torch.cat([torch.arange(n) for n in self.length_N]).view_as(self.tokens)

    @cached_property
    def labels(self) -> Tensor:
        """Next tokens of the same document, [B, L]."""
        ends = torch.tensor(self.length_N).cumsum(0) - 1
        label = self.tokens.flatten().roll(-1)
        label[ends] = IGNORE
        for one in self.paddings:
            label[ends[one] + 1 - self.length_N[one] : ends[one] + 1] = IGNORE
        return label.view_as(self.tokens)

    def documents(self, flat: Tensor) -> Iterator[Tensor]:
        """What belongs to each document, paddings left out."""
        parts = flat.split(list(self.length_N))
        return (part for i, part in enumerate(parts) if i not in self.paddings)


class ReferenceModel:
    """A shrunk model with the attention that the architecture has by itself.

    Args:
        config: The shrunk config.
    """

    def __init__(self, config: Any):
        self.config = config
        self.model = build(config, "eager")
        redraw(self.model)
        self.known: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def logits(self, token_L: Tensor) -> Tensor:
        """Logits [L, V] of one text."""
        key = tuple(token_L.tolist())
        if key not in self.known:
            self.known[key] = self.model(input_ids=token_L[None], use_cache=False).logits[0]
        return self.known[key]

    @torch.no_grad()
    def loss(self, token_L: Tensor) -> float | None:
        """Its own loss of one text in training, in nats a token; None where it has none."""
        token = token_L[None]
        try:
            loss = self.model.train()(input_ids=token, labels=token, use_cache=False).loss
        except Exception:
            return None
        finally:
            self.model.eval()
        return None if loss is None else float(loss)

    @cached_property
    def is_learned(self) -> bool:
        """Whether there is no position after the last that the config names."""
        last = getattr(self.config, "max_position_embeddings", None)
        if not isinstance(last, int) or not 2 * WINDOW < last <= POSITIONS:
            return False
        try:
            self.logits(torch.full((last + 8,), 5))
        except Exception:
            return True
        return False


def runnable(config: Any) -> ReferenceModel:
    """The architecture as small as it runs: narrow, or else with few layers of its own width.

    Raises:
        Exception: Of the first try, where none runs.
    """
    first: Exception | None = None
    for is_narrow in (True, False):
        try:
            small = shrink(config, is_narrow)
            if is_narrow or size(small) <= MOST_PARAMETERS:
                reference = ReferenceModel(small)
                reference.logits(torch.arange(4, 12))
                return reference
        except Exception as error:
            first = first or error
    assert first is not None
    raise first


def size(config: Any) -> int:
    """Number of parameters, without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in build(config, "eager").parameters())


def build(config: Any, attention: str) -> Any:
    """The model of a shrunk config, in evaluation mode; dropout is off in training as well."""
    from transformers import AutoModelForCausalLM

    quiet = copy.deepcopy(config)
    vars(quiet).pop("quantization_config", None)
    for name, value in vars(quiet).items():
        if isinstance(value, float) and ("drop" in name or "jitter" in name):
            setattr(quiet, name, 0.0)
    return AutoModelForCausalLM.from_config(
        quiet, attn_implementation=attention, dtype=torch.float32
    ).eval()


def redraw(model: Any) -> None:
    """Random weights, biases and sinks; norms stay near what they are."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            spread = min(SPREAD, 2 / max(p.shape[-1], 1) ** 0.5) if p.ndim > 1 else SPREAD
            noise = torch.empty(p.shape).normal_(0, spread, generator=generator)
            p.copy_(noise if p.ndim > 1 else p + noise)
