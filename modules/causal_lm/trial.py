"""A small model under a setting of the trainer, beside the architecture's own reading of each text.

Differences are in standard deviations of the logits. Weights are random, and larger than standard
initialisation makes them, which hides what documents see of one another.

Shape legend: B = rows, L = row length, N = documents, V = vocabulary.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.verdict import Fault
from modules.causal_lm.windows import POSITIONS, WINDOW

TOLERANCE = 1e-3
"""Difference, in standard deviations of the logits, from which on two results are not the same."""
SPREAD = 0.25
"""Standard deviation of the weights; less in matrices of more than 64 columns."""
NUM_NEW = 3
"""Tokens that are written: one from the prompt, the others from the cache."""

Make = Callable[..., Any]
"""`modules.causal_lm.network.LanguageModel`, or what builds one from a model and an attention."""


@dataclass(frozen=True)
class Rows:
    """Two packed rows: documents in order, and the padding behind them.

    Attributes:
        length_N: Lengths of the documents and of the padding.
        paddings: Which of them are padding.
    """

    length_N: tuple[int, ...]
    paddings: tuple[int, ...]

    @cached_property
    def tokens(self) -> Tensor:
        """Ids [B, L], apart from those that often are special ones."""
        dice = torch.Generator().manual_seed(1)
        token = torch.randint(4, POSITIONS // 2, (2, sum(self.length_N) // 2), generator=dice)
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


def unrun(error: Exception) -> Fault:
    """Code of an architecture that does not run."""
    if "does not support an attention implementation" in str(error):
        return Fault("run", "transformers has no such attention for it")
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return Fault("run", f"its code raises {type(error).__name__}: {first}")


class Trial:
    """A shrunk model under a setting, and one with the same weights and its own attention.

    Args:
        config: The shrunk config.
        attention: The setting of the trainer.
        make: Builds the trainer's network around a model.
    """

    def __init__(self, config: Any, attention: str, make: Make):
        self.attention = attention
        self.make = make
        self.own = build(config, "eager")
        redraw(self.own)
        self.model = build(config, attention)
        self.model.load_state_dict(self.own.state_dict())
        self.network = make(self.model, attention).eval()

    def faults(self, rows: Rows, chunked: bool) -> list[Fault]:
        """What differs, the plainest first."""
        try:
            with torch.no_grad():
                found = list(self.attention_faults(rows))
                found += self.loss_faults(rows) if not found else []
                found += self.chunk_faults(rows) if chunked and not found else []
        except Exception as error:
            return [unrun(error)]
        return found

    # Attention

    def attention_faults(self, rows: Rows) -> Iterator[Fault]:
        """Documents against the architecture's own attention, one another, and later tokens."""
        lengths = list(rows.length_N)
        packed = self.network(rows.tokens, rows.positions, lengths).flatten(0, 1)
        tokens = list(rows.documents(rows.tokens.flatten()))
        own = [self.own(input_ids=one[None], use_cache=False).logits[0] for one in tokens]
        alone = [
            self.network(one[None], torch.arange(len(one))[None], [len(one)])[0] for one in tokens
        ]
        spread = torch.cat(own).std()
        yield from self.leaks(rows, packed, spread)
        longest = max(map(len, tokens))
        off = difference(torch.cat(alone), torch.cat(own), spread)
        if off > TOLERANCE:
            against = f"its own attention on a document of {longest} tokens"
            yield Fault("own", f"against {against} its logits are off by {told(off)}")
        off = difference(torch.cat(list(rows.documents(packed))), torch.cat(alone), spread)
        if off > TOLERANCE:
            against = "the same documents alone"
            yield Fault("alone", f"against {against} its logits are off by {told(off)}")

    def leaks(self, rows: Rows, packed: Tensor, spread: Tensor) -> Iterator[Fault]:
        """Change a token in the middle of the first document, and see what moves."""
        middle, end = rows.length_N[0] // 2, rows.length_N[0]
        changed = rows.tokens.clone()
        changed[0, middle:end] = (changed[0, middle:end] + 1) % (POSITIONS // 2)
        after = self.network(changed, rows.positions, list(rows.length_N)).flatten(0, 1)
        earlier = difference(after[:middle], packed[:middle], spread)
        before, others = (list(rows.documents(one)) for one in (packed, after))
        leak = difference(torch.cat(others[1:]), torch.cat(before[1:]), spread)
        if leak > TOLERANCE:
            seen = f"tokens changed in the first move the logits of the next by {told(leak)}"
            yield Fault("leak", f"documents of a row see one another: {seen}")
        if earlier > TOLERANCE:
            seen = f"later tokens move earlier logits by {told(earlier)}"
            yield Fault("causal", f"it is not causal: {seen}")

    # Loss

    def loss_faults(self, rows: Rows) -> Iterator[Fault]:
        """The trainer's loss against the architecture's own, of one document."""
        token = max(rows.documents(rows.tokens.flatten()), key=len)[None]
        num = token.shape[1]
        label = token.roll(-1)
        label[0, -1] = IGNORE
        for model in (self.own, self.network):
            model.train()
        try:
            own = self.own(input_ids=token, labels=token, use_cache=False).loss
        except Exception:
            own = None  # it has no loss of its own to be compared with
        ours = self.network.training_loss(token, label, torch.arange(num)[None], [num]).total
        for model in (self.own, self.network):
            model.eval()
        if own is None:
            return
        more = float(own) - float(ours) / (num - 1)
        if not abs(more) <= TOLERANCE * abs(float(own)):
            yield Fault(
                "loss",
                f"its own loss is {more:+.3g} nats a token apart from the trainer's"
                + named(self.own.config),
            )

    def chunk_faults(self, rows: Rows) -> Iterator[Fault]:
        """The loss in chunks against the whole one."""
        inputs = rows.tokens, rows.labels, rows.positions, list(rows.length_N)
        whole = float(self.network.loss(*inputs))
        try:
            part = float(self.make(self.model, self.attention, loss_chunk=7).eval().loss(*inputs))
        except Exception as error:
            yield Fault("chunk", f"loss_chunk does not run: {unrun(error).told}")
            return
        if not abs(part - whole) <= TOLERANCE * abs(whole):
            yield Fault("chunk", f"loss_chunk changes its loss by {part / whole - 1:+.2%}")

    def is_learned(self) -> bool:
        """Whether there is no position behind the last that the config names."""
        last = getattr(self.own.config, "max_position_embeddings", None)
        if not isinstance(last, int) or not 2 * WINDOW < last <= POSITIONS:
            return False
        token = torch.full((1, last + 8), 5)
        try:
            with torch.no_grad():
                self.own(input_ids=token, use_cache=False)
        except Exception:
            return True
        return False


def build(config: Any, attention: str) -> Any:
    """The model of a shrunk config, in evaluation mode; dropout is off in training as well."""
    from transformers import AutoModelForCausalLM

    quiet = copy.deepcopy(config)
    for name, value in vars(quiet).items():
        if isinstance(value, float) and ("drop" in name or "jitter" in name):
            setattr(quiet, name, 0.0)
    return AutoModelForCausalLM.from_config(
        quiet, attn_implementation=attention, dtype=torch.float32
    ).eval()


def redraw(model: Any) -> None:
    """Random weights, biases and sinks; norms stay near what they are."""
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            spread = min(SPREAD, 2 / max(p.shape[-1], 1) ** 0.5) if p.ndim > 1 else SPREAD
            noise = torch.empty(p.shape).normal_(0, spread, generator=dice)
            p.copy_(noise if p.ndim > 1 else p + noise)


def difference(found: Tensor, wanted: Tensor, spread: Tensor) -> float:
    """The largest difference, in units of the spread; infinite where it is no number."""
    off = float((found.float() - wanted.float()).abs().max() / spread)
    return off if off == off else float("inf")


def told(off: float) -> str:
    """A difference in words."""
    return f"{off:.2g} standard deviations"


def named(config: Any) -> str:
    """Options that only an architecture's own loss may read, as a hint."""
    words = ("loss", "coef", "z_loss", "mtp")
    found = {
        name: value
        for name, value in vars(config).items()
        if any(word in name for word in words)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and value
    }
    listed = ", ".join(f"{name} {value}" for name, value in found.items())
    return f" (options of losses: {listed})" if found else ""
