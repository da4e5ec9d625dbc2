"""One probe of an architecture: exact in packed rows, or refused with the reason.

It builds the architecture small (`modules.causal_lm.probe.reference`) and compares what the trainer
computes with what the architecture itself computes of each document
(`modules.causal_lm.probe.comparison`).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from modules.causal_lm.probe.comparison import Make, ProbedModel, unrun
from modules.causal_lm.probe.generation import sampling
from modules.causal_lm.probe.isolated import isolated
from modules.causal_lm.probe.reference import ReferenceModel, Rows, runnable
from modules.causal_lm.probe.verdict import Verdict
from modules.causal_lm.probe.windows import windows, with_window

LONG = Rows((20, 5, 3, 9, 19), (2,))
"""Documents longer than the window, and one that is not."""
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
    return examine_all(config, (attention,), chunked, make)[0]


def examine_all(config: Any, settings: Iterable[str], chunked: bool, make: Make) -> list[Verdict]:
    """The verdicts under several settings."""
    with isolated():
        try:
            reference = runnable(config)
        except Exception as error:
            return [unrunnable(error) for _ in settings]
        return [verdict_on(reference, one, chunked, make) for one in settings]


def unrunnable(error: Exception) -> Verdict:
    """The verdict on code that does not run."""
    fault = unrun(error)
    return Verdict((fault,), sampling=None, unsampled=fault.message)


def verdict_on(reference: ReferenceModel, attention: str, chunked: bool, make: Make) -> Verdict:
    """The verdict on a small model under a setting."""
    try:
        probed = ProbedModel(reference, attention, make)
    except Exception as error:
        return unrunnable(error)
    faults = probed.faults(LONG, chunked)
    verdict = Verdict(tuple(faults), learned=reference.is_learned)
    if any(one.is_of_attention for one in faults):
        verdict = within_windows(verdict, probed, chunked)
    if verdict.faults:
        return verdict
    way, why = sampling(probed, LONG)
    if way is None and verdict.windows:
        way, _ = sampling(probed, SHORT[0.5])
    return replace(verdict, sampling=way, unsampled="" if way else why)


def within_windows(verdict: Verdict, probed: ProbedModel, chunked: bool) -> Verdict:
    """The verdict on documents that fit into every window, where longer ones have faults.

    Faults that remain are those of short documents: windows are not their cause.
    """
    small = probed.reference.config
    names = list(windows(small))
    if not names:
        return verdict
    for share, rows in SHORT.items():
        faults = probed.faults(rows, chunked)
        if not any(one.is_of_attention for one in faults):
            found = tuple(name for name in names if guilty(name, probed))
            windowed = found or tuple(names)
            return replace(verdict, faults=tuple(faults), windows=windowed, share=share)
        verdict = replace(verdict, faults=tuple(faults))
    return verdict


def guilty(name: str, probed: ProbedModel) -> bool:
    """Whether a window makes a difference, all others being wide."""
    alone = ReferenceModel(with_window(probed.reference.config, name))
    return bool(ProbedModel(alone, probed.attention, probed.make).faults(LONG, False))
