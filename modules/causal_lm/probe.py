"""One probe of an architecture: exact in packed rows, or refused with the reason.

It builds the architecture small (`modules.causal_lm.shrink`), gives it weights that show what
standard initialisation hides, and compares what the trainer computes with what the architecture
itself computes of each document alone. Differences are in standard deviations of the logits.

Shape legend: B = rows, L = row length, N = documents, V = vocabulary.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from modules.causal_lm.aside import undisturbed
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.shrink import POSITIONS, WINDOW, shrink, windows, with_window
from modules.causal_lm.verdict import Cache, Fault, Kind, Sampling, Verdict

TOLERANCE = 1e-3
"""Difference, in standard deviations of the logits, from which on two results are not the same."""
SPREAD = 0.25
"""Standard deviation of the weights."""
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
    def token_BL(self) -> Tensor:
        """Ids, apart from those that often are special ones."""
        dice = torch.Generator().manual_seed(1)
        token = torch.randint(4, POSITIONS // 2, (2, sum(self.length_N) // 2), generator=dice)
        return token

    @cached_property
    def position_BL(self) -> Tensor:
        """Place inside the document."""
        return torch.cat([torch.arange(n) for n in self.length_N]).view_as(self.token_BL)

    @cached_property
    def label_BL(self) -> Tensor:
        """The next token of the same document."""
        ends = torch.tensor(self.length_N).cumsum(0) - 1
        label = self.token_BL.flatten().roll(-1)
        label[ends] = IGNORE
        for one in self.paddings:
            label[ends[one] + 1 - self.length_N[one] : ends[one] + 1] = IGNORE
        return label.view_as(self.token_BL)

    def documents(self, flat: Tensor) -> Iterator[Tensor]:
        """What belongs to each document, paddings left out."""
        parts = flat.split(list(self.length_N))
        return (part for i, part in enumerate(parts) if i not in self.paddings)


LONG = Rows((20, 13, 3, 9, 27), (2,))
"""Documents longer than the window."""
SHORT = {1.0: Rows((8, 5, 2, 7, 8), (2,)), 0.5: Rows((4, 3, 1, 4, 4), (2,))}
"""Documents that fit into the window, or into half of it."""


def examine(config: Any, attention: str, chunked: bool, make: Make) -> Verdict:
    """Find out whether an architecture is trained as it is.

    Args:
        config: Of a `transformers` causal language model.
        attention: The setting of the trainer.
        chunked: Whether the loss is computed in chunks.
        make: Builds the trainer's network around a model.

    Returns:
        The verdict. The first of its faults is the plainest.
    """
    with undisturbed():
        try:
            trial = Trial(shrink(config), attention, make)
            faults = trial.faults(LONG, chunked)
        except Exception as error:
            return Verdict((unrun(error),), sampling=None, unsampled=str(error))
        verdict = Verdict(tuple(faults), learned=trial.is_learned())
        if faults and all(one.kind == "attention" for one in faults):
            verdict = within_windows(verdict, config, attention, chunked, make)
        if not verdict.faults:
            sampling, why = trial.sampling()
            verdict = replace(verdict, sampling=sampling, unsampled=why)
        return verdict


def within_windows(
    verdict: Verdict, config: Any, attention: str, chunked: bool, make: Make
) -> Verdict:
    """The verdict on documents that fit into every window, where longer ones have faults.

    Faults that remain are those of short documents: windows are not their cause.
    """
    names = list(windows(config))
    if not names:
        return verdict
    small = Trial(shrink(config), attention, make)
    for share, rows in SHORT.items():
        faults = small.faults(rows, chunked)
        if all(one.kind != "attention" for one in faults):
            guilty = [
                name
                for name in names
                if Trial(with_window(shrink(config), name), attention, make).faults(LONG, False)
            ]
            kept = tuple(guilty or names)
            return replace(verdict, faults=tuple(faults), windows=kept, share=share)
        verdict = replace(verdict, faults=tuple(faults))
    return verdict


def unrun(error: Exception) -> Fault:
    """Code of an architecture that does not run."""
    if "does not support an attention implementation" in str(error):
        return Fault("attention", "transformers has no such attention for it")
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return Fault("attention", f"it does not run ({type(error).__name__}: {first})")


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
        packed = self.network(rows.token_BL, rows.position_BL, lengths).flatten(0, 1)
        tokens = list(rows.documents(rows.token_BL.flatten()))
        own = [self.own(input_ids=one[None], use_cache=False).logits[0] for one in tokens]
        alone = [
            self.network(one[None], torch.arange(len(one))[None], [len(one)])[0] for one in tokens
        ]
        spread = torch.cat(own).std()
        checks = {
            f"its own attention on a document of {max(lengths)} tokens": (alone, own),
            "the same documents alone": (list(rows.documents(packed)), own),
        }
        yield from self.leaks(rows, packed, spread)
        for name, (some, others) in checks.items():
            off = difference(torch.cat(some), torch.cat(others), spread)
            if off > TOLERANCE:
                yield fault("attention", f"against {name} its logits are off by {told(off)}")
                return

    def leaks(self, rows: Rows, packed: Tensor, spread: Tensor) -> Iterator[Fault]:
        """Change a token in the middle of the first document, and see what moves."""
        middle, end = rows.length_N[0] // 2, rows.length_N[0]
        changed = rows.token_BL.clone()
        changed[0, middle:end] = (changed[0, middle:end] + 1) % (POSITIONS // 2)
        after = self.network(changed, rows.position_BL, list(rows.length_N)).flatten(0, 1)
        earlier = difference(after[:middle], packed[:middle], spread)
        before, others = (list(rows.documents(one)) for one in (packed, after))
        leak = difference(torch.cat(others[1:]), torch.cat(before[1:]), spread)
        if leak > TOLERANCE:
            yield fault(
                "attention",
                "documents of a row see one another: tokens changed in the first move the logits "
                f"of the next by {told(leak)}",
            )
        if earlier > TOLERANCE:
            yield fault(
                "attention",
                f"it is not causal: later tokens move earlier logits by {told(earlier)}",
            )

    # Loss

    def loss_faults(self, rows: Rows) -> Iterator[Fault]:
        """The trainer's loss against the architecture's own, of one document."""
        token = max(rows.documents(rows.token_BL.flatten()), key=len)[None]
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
            yield fault(
                "loss",
                f"its own loss is {more:+.3g} nats a token apart from the trainer's"
                + named(self.own.config),
            )

    def chunk_faults(self, rows: Rows) -> Iterator[Fault]:
        """The loss in chunks against the whole one."""
        inputs = rows.token_BL, rows.label_BL, rows.position_BL, list(rows.length_N)
        whole = float(self.network.loss(*inputs))
        try:
            part = float(self.make(self.model, self.attention, loss_chunk=7).eval().loss(*inputs))
        except Exception as error:
            yield fault("chunk", f"loss_chunk {unrun(error).told.removeprefix('it ')}")
            return
        if not abs(part - whole) <= TOLERANCE * abs(whole):
            yield fault("chunk", f"loss_chunk changes its loss by {part / whole - 1:+.2%}")

    # Samples

    def sampling(self) -> tuple[Sampling | None, str]:
        """The first way of writing that gives the model's own next tokens, or why none does."""
        why = ""
        first = "sdpa" if self.attention == "documents" else self.attention
        caches: tuple[Cache, ...] = ("roomy", "own", "none")
        for attention in dict.fromkeys((first, "sdpa", "eager")):
            for cache in caches:
                self.network.sampling = Sampling(attention, cache)
                try:
                    with torch.no_grad():
                        off = self.written()
                except Exception as error:
                    why = why or unrun(error).told
                    continue
                if off <= TOLERANCE:
                    return self.network.sampling, ""
                why = why or f"the next tokens of padded prompts are off by {told(off)}"
        return None, why

    def written(self) -> float:
        """How far scores of tokens written together are from those of each text alone."""
        prompts = list(LONG.documents(LONG.token_BL.flatten()))[:2]
        longest = max(map(len, prompts))
        left = [torch.full((longest - len(one),), 1) for one in prompts]
        token = torch.stack([torch.cat(pair) for pair in zip(left, prompts, strict=True)])
        mask = torch.stack(
            [torch.arange(longest) >= longest - len(one) for one in prompts]
        )
        out = self.network.generate(
            token,
            mask,
            max_new_tokens=NUM_NEW,
            min_new_tokens=NUM_NEW,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            eos_token_id=self.model.config.vocab_size - 1,
            pad_token_id=0,
        )
        found = torch.stack(out.logits, dim=1)
        wanted = []
        for row, one in enumerate(prompts):
            whole = torch.cat([one, out.sequences[row, longest:]])
            logits = self.own(input_ids=whole[None], use_cache=False).logits[0]
            wanted.append(logits[len(one) - 1 : -1])
        expected = torch.stack(wanted)
        return difference(found, expected, expected.std())

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
            noise = torch.empty(p.shape).normal_(0, SPREAD, generator=dice)
            p.copy_(noise if p.ndim > 1 else p + noise)


def difference(found: Tensor, wanted: Tensor, spread: Tensor) -> float:
    """The largest difference, in units of the spread; infinite where it is no number."""
    off = float((found.float() - wanted.float()).abs().max() / spread)
    return off if off == off else float("inf")


def told(off: float) -> str:
    """A difference in words."""
    return f"{off:.2g} standard deviations"


def fault(kind: Kind, clause: str) -> Fault:
    """A fault, told in a clause."""
    return Fault(kind, clause)


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
    return f" (options of losses: {', '.join(f'{k} {v}' for k, v in found.items())})" if found else ""
