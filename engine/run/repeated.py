"""Callbacks that are given twice: of each kind that a run has one of, the last counts."""

from collections.abc import Iterable

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from engine.ranks.messages import print_once

OURS = ("callbacks", "engine")
"""Packages whose callbacks a run has one of each: a second writes the same files."""


def last_of_each(callbacks: Iterable[L.Callback]) -> list[L.Callback]:
    """Of callbacks that a run has one of, the last, at the place of the first; a line says so.

    So `callbacks+:` changes the options of one that is in an earlier config. A class of ours
    that a run may have several of says `may_repeat = True`.
    """
    kept: list[L.Callback] = []
    for one in callbacks:
        place = next((i for i, earlier in enumerate(kept) if is_same_kind(earlier, one)), None)
        if place is None:
            kept.append(one)
        else:
            print_once(replacement(kept[place], one))
            kept[place] = one
    return kept


def is_same_kind(one: L.Callback, other: L.Callback) -> bool:
    """Whether a run can have only one of two callbacks."""
    if isinstance(one, ProgressBar) and isinstance(other, ProgressBar):
        return True
    is_alike = isinstance(one, type(other)) or isinstance(other, type(one))
    is_ours = all(type(each).__module__.split(".")[0] in OURS for each in (one, other))
    return is_alike and is_ours and not getattr(one, "may_repeat", False)


def replacement(earlier: L.Callback, later: L.Callback) -> str:
    """The line about a callback that another one replaces."""
    first, last = type(earlier).__name__, type(later).__name__
    names = f"{first} twice" if first == last else f"{first} and {last}"
    return f"trainer.callbacks gives {names}, and a run has one: the last counts"
