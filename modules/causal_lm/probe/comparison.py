"""A small model under a setting of the trainer, beside the architecture's own reading of each text.

Differences are in standard deviations of the logits.

Shape legend: B = rows, L = row length, N = documents, V = vocabulary.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.loss import IGNORE
from modules.causal_lm.probe.reference import ReferenceModel, Rows, build
from modules.causal_lm.probe.verdict import Fault
from modules.causal_lm.probe.windows import POSITIONS

TOLERANCE = 1e-3
"""Difference, in standard deviations of the logits, from which on two results are not the same."""

Make = Callable[..., Any]
"""`modules.causal_lm.network.LanguageModel`, or what builds one from a model and an attention."""


def unrun(error: Exception) -> Fault:
    """Code of an architecture that does not run."""
    if "does not support an attention implementation" in str(error):
        return Fault("run", "transformers has no such attention for it")
    if isinstance(error, KeyError) and error.args == ("documents",):
        return Fault("run", "it has attention code of its own, which takes no other")
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return Fault("run", f"its code raises {type(error).__name__}: {first}")


class ProbedModel:
    """A shrunk model under a setting, with the weights of the one that has its own attention.

    Args:
        reference: The model by itself.
        attention: The setting of the trainer.
        make: Builds the trainer's network around a model.
    """

    def __init__(self, reference: ReferenceModel, attention: str, make: Make):
        self.reference = reference
        self.attention = attention
        self.make = make
        self.model = build(reference.config, attention)
        self.model.load_state_dict(reference.model.state_dict())
        self.network = make(self.model, attention, is_admitted=True).eval()

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
        own = [self.reference.logits(one) for one in tokens]
        alone = [
            self.network(one[None], torch.arange(len(one))[None], [len(one)])[0] for one in tokens
        ]
        spread = torch.cat(own).std()
        yield from self.leaks(rows, packed, spread)
        longest = max(map(len, tokens))
        off = difference(torch.cat(alone), torch.cat(own), spread)
        if off > TOLERANCE:
            against = f"its own attention on a document of {longest} tokens"
            yield Fault("own", f"against {against} its logits are off by {in_deviations(off)}")
        off = difference(torch.cat(list(rows.documents(packed))), torch.cat(alone), spread)
        if off > TOLERANCE:
            against = "the same documents alone"
            yield Fault("alone", f"against {against} its logits are off by {in_deviations(off)}")

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
            seen = (
                f"tokens changed in the first move the logits of the next by {in_deviations(leak)}"
            )
            yield Fault("leak", f"documents of a row see one another: {seen}")
        if earlier > TOLERANCE:
            seen = f"later tokens move earlier logits by {in_deviations(earlier)}"
            yield Fault("causal", f"it is not causal: {seen}")

    # Loss

    def loss_faults(self, rows: Rows) -> Iterator[Fault]:
        """The trainer's loss against the architecture's own, of one document."""
        token = max(rows.documents(rows.tokens.flatten()), key=len)
        num, label = len(token), token.roll(-1)
        label[-1] = IGNORE
        own = self.reference.loss(token)
        self.network.train()
        batch = token[None], label[None], torch.arange(num)[None], [num]
        ours = float(self.network.training_loss(*batch).total) / (num - 1)
        self.network.eval()
        if own is not None and not abs(own - ours) <= TOLERANCE * abs(own):
            more = f"its own loss is {own - ours:+.3g} nats a token apart from the trainer's"
            yield Fault("loss", more + named(self.reference.config))

    def chunk_faults(self, rows: Rows) -> Iterator[Fault]:
        """The loss in chunks against the whole one."""
        inputs = rows.tokens, rows.labels, rows.positions, list(rows.length_N)
        whole = float(self.network.loss(*inputs))
        try:
            network = self.make(self.model, self.attention, loss_chunk=7, is_admitted=True).eval()
            part = float(network.loss(*inputs))
        except Exception as error:
            yield Fault("chunk", f"loss_chunk does not run: {unrun(error).message}")
            return
        if not abs(part - whole) <= TOLERANCE * abs(whole):
            yield Fault("chunk", f"loss_chunk changes its loss by {part / whole - 1:+.2%}")


def difference(found: Tensor, wanted: Tensor, spread: Tensor) -> float:
    """The largest difference, in units of the spread; infinite where it is no number."""
    off = float((found.float() - wanted.float()).abs().max() / spread)
    return off if off == off else float("inf")


def in_deviations(off: float) -> str:
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
