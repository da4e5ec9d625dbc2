"""One probe of an architecture: exact in packed rows, or refused with the reason.

It builds the architecture small (`modules.causal_lm.shrink`) and compares what the trainer computes
with what the architecture itself computes of each document alone (`modules.causal_lm.trial`).
"""

from dataclasses import replace
from typing import Any

import torch

from modules.causal_lm.aside import undisturbed
from modules.causal_lm.shrink import shrink
from modules.causal_lm.trial import Make, Rows, Trial, build, unrun
from modules.causal_lm.verdict import Verdict
from modules.causal_lm.windows import windows, with_window
from modules.causal_lm.writing import sampling

MOST_PARAMETERS = 300_000_000
"""Of a model that could only be shrunk in its layers."""

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
    with undisturbed():
        try:
            small = runnable(config)
            trial = Trial(small, attention, make)
        except Exception as error:
            return Verdict((unrun(error),), sampling=None, unsampled=str(error))
        faults = trial.faults(LONG, chunked)
        verdict = Verdict(tuple(faults), learned=trial.is_learned())
        if any(one.is_of_attention for one in faults):
            verdict = within_windows(verdict, small, attention, chunked, make)
        if verdict.faults:
            return verdict
        way, why = sampling(trial, LONG)
        if way is None and verdict.windows:
            way, _ = sampling(trial, SHORT[0.5])
        return replace(verdict, sampling=way, unsampled="" if way else why)


def runnable(config: Any) -> Any:
    """The architecture as small as it runs: narrow, or else with few layers of its own width.

    Raises:
        Exception: Of the first try, where none runs.
    """
    first: Exception | None = None
    for is_narrow in (True, False):
        try:
            small = shrink(config, is_narrow)
            if is_narrow:
                with torch.no_grad():
                    build(small, "eager")(input_ids=torch.arange(4, 12)[None], use_cache=False)
                return small
            with torch.device("meta"):
                size = sum(p.numel() for p in build(small, "eager").parameters())
            if size <= MOST_PARAMETERS:
                return small
        except Exception as error:
            first = first or error
    assert first is not None
    raise first


def within_windows(
    verdict: Verdict, small: Any, attention: str, chunked: bool, make: Make
) -> Verdict:
    """The verdict on documents that fit into every window, where longer ones have faults.

    Faults that remain are those of short documents: windows are not their cause.
    """
    names = list(windows(small))
    if not names:
        return verdict
    trial = Trial(small, attention, make)
    for share, rows in SHORT.items():
        faults = trial.faults(rows, chunked)
        if not any(one.is_of_attention for one in faults):
            guilty = [
                name
                for name in names
                if Trial(with_window(small, name), attention, make).faults(LONG, False)
            ]
            kept = tuple(guilty or names)
            return replace(verdict, faults=tuple(faults), windows=kept, share=share)
        verdict = replace(verdict, faults=tuple(faults))
    return verdict
