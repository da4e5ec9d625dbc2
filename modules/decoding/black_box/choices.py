"""Single-token choices, such as A, B, C or D, by a proxy-tuned model at an endpoint.

Only the choices among the listed tokens are reweighted (Liu et al., 2024). The paper drops
questions without any; here they are counted, so that accuracy over all questions is known as well.

Shape legend: K = tokens seen, N = tokens not seen, V = vocabulary.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf

import torch
from torch import Tensor

from modules.decoding.black_box.decode import BlackBox
from modules.decoding.black_box.proxy import ROUNDING, unseen_mass, unseen_masses
from modules.decoding.black_box.top_logprobs import LocalCandidates

Choices = Mapping[str, Sequence[str]]
"""Names of the choices, and the texts of the single tokens of each."""


def letters(names: str) -> Choices:
    """Choices of one letter, with and without a space before it; `letters("ABCD")`."""
    return {name: (name, " " + name) for name in names}


@dataclass(frozen=True)
class Answer:
    """The answer to a question with choices.

    Attributes:
        choice: The likeliest choice after reweighting; None if the base listed none of them.
        base_choice: The likeliest one before reweighting.
        probability: Of each listed choice after reweighting; they sum to 1.
        dropped: Choices that the base did not list.
        certain: Whether no other choice can be likelier, whatever the unseen probabilities are.
        unknown: Number of listed tokens without a local id.
    """

    choice: str | None
    base_choice: str | None
    probability: dict[str, float]
    dropped: list[str]
    certain: bool
    unknown: int


def choose(box: BlackBox, prompt: str, choices: Choices) -> Answer:
    """Answer a question by one token.

    Raises:
        ValueError: There are no choices, one is not a single token of the local vocabulary, or two
            share a token.
    """
    ids = tokens(box, choices)
    seen = box.look(prompt, [])
    if seen is None:
        return Answer(None, None, {}, list(choices), False, 0)
    delta_V = box.offsets(prompt, []).double().cpu()
    before, after = totals(seen, ids, None), totals(seen, ids, delta_V)
    dropped = [name for name in choices if name not in before]
    best = likeliest(after)
    is_certain = best is not None and all(
        after[best] > limit for name, limit in limits(seen, ids, delta_V).items() if name != best
    )
    return Answer(best, likeliest(before), shares(after), dropped, is_certain, len(seen.unmatched))


def tokens(box: BlackBox, choices: Choices) -> dict[str, list[int]]:
    """Local ids of each choice."""
    if not choices:
        raise ValueError("there are no choices.")
    ids = {
        name: sorted({i for text in texts for i in box.token_strings.ids(text)})
        for name, texts in choices.items()
    }
    for name, own in ids.items():
        if not own:
            raise ValueError(f"the choice {name!r} is not a single token: {list(choices[name])}.")
    if len({i for own in ids.values() for i in own}) < sum(map(len, ids.values())):
        raise ValueError(f"two of the choices {list(choices)} share a token.")
    return ids


def totals(
    seen: LocalCandidates, ids: Mapping[str, Sequence[int]], delta_V: Tensor | None
) -> dict[str, float]:
    """Log mass of each listed choice, summed over its tokens."""
    found: dict[str, float] = {}
    for name, own in ids.items():
        is_own_K = torch.isin(seen.id_K, torch.tensor(own))
        if bool(is_own_K.any()):
            score_K = seen.logprob_K + (0.0 if delta_V is None else delta_V[seen.id_K])
            found[name] = float(score_K[is_own_K].logsumexp(0))
    return found


def limits(
    seen: LocalCandidates, ids: Mapping[str, Sequence[int]], delta_V: Tensor
) -> dict[str, float]:
    """Upper bound of each choice's log mass, its unseen tokens included."""
    unseen = min(1.0, unseen_mass(seen.logprob_K) + ROUNDING)
    mass_N = unseen_masses(unseen, seen.cap, seen.unmatched, len(delta_V) - len(seen.id_K))
    found = totals(seen, ids, delta_V)
    most: dict[str, float] = {}
    for name, own in ids.items():
        hidden = torch.tensor([i for i in own if not bool((seen.id_K == i).any())])
        parts = [torch.tensor([found.get(name, -inf)], dtype=torch.float64)]
        if len(hidden):
            delta = delta_V[hidden].sort(descending=True).values
            parts.append(mass_N[: len(delta)].log() + delta)
        most[name] = float(torch.cat(parts).logsumexp(0))
    return most


def likeliest(found: Mapping[str, float]) -> str | None:
    """The name with the most mass; None if there is none."""
    return max(found, key=lambda name: found[name]) if found else None


def shares(found: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of log masses."""
    highest = max(found.values(), default=0.0)
    mass = {name: exp(value - highest) for name, value in found.items()}
    return {name: value / sum(mass.values()) for name, value in mass.items()}


@dataclass(frozen=True)
class Accuracy:
    """Numbers of questions, answered and correct ones.

    Attributes:
        num: Questions.
        answered: Of them, those with an answer.
        correct: Of them, those with the right answer.
    """

    num: int
    answered: int
    correct: int

    @property
    def unanswered(self) -> int:
        """Questions of which the base listed no choice."""
        return self.num - self.answered

    @property
    def of_all(self) -> float:
        """Share of all questions that were answered correctly; unanswered ones count as wrong."""
        return self.correct / self.num

    @property
    def of_answered(self) -> float:
        """Share of the answered ones, as the paper reports; NaN if there are none."""
        return self.correct / self.answered if self.answered else float("nan")


def accuracy(chosen: Iterable[str | None], truths: Iterable[str]) -> Accuracy:
    """Count right answers; `choice` or `base_choice` of each `Answer`, against the truth.

    Raises:
        ValueError: There are none, or the number of truths differs.
    """
    pairs = list(zip(chosen, truths, strict=True))
    if not pairs:
        raise ValueError("there are no questions.")
    return Accuracy(
        num=len(pairs),
        answered=sum(one is not None for one, _ in pairs),
        correct=sum(one == truth for one, truth in pairs),
    )
