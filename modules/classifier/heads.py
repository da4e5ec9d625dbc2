"""Which output of a published classifier is which class.

The order is its author's: a known detector of GPT-2's texts has 0 = Fake and 1 = Real.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

ALIKE = (
    "human humanwritten real person authentic genuine",
    "machine machinegenerated machinewritten fake ai aigenerated aiwritten generated synthetic bot "
    "llm llmgenerated gpt chatgpt",
)
"""Synonyms of class names, without case and punctuation."""


def own_classes(config: Any) -> list[str]:
    """Class names of a Hugging Face config's head, in order; empty if it has no head."""
    kinds = getattr(config, "architectures", None) or []
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        return []
    return [str(config.id2label[index]) for index in sorted(config.id2label)]


def order_of(
    own: Sequence[str], classes: Sequence[str], labels: Mapping[str, str] | None, source: str
) -> list[int]:
    """Index of the output of each class, by the names that the head gives its outputs.

    Args:
        own: Names of the outputs.
        classes: Names of our classes, the same number.
        labels: Class of each output whose name does not say it.
        source: Where the head comes from, for messages.

    Raises:
        ValueError: An output means no class, two mean the same, or `labels` has an unknown name.
    """
    known = dict(labels or {})
    if strange := [name for name in known if name not in own]:
        raise ValueError(f"labels names {strange[0]}, but the head of {source} has {listed(own)}")
    if strange := [name for name in known.values() if name not in classes]:
        raise ValueError(f"labels means {strange[0]}, but the classes are {listed(classes)}")
    meaning = [known.get(name) or matching(name, classes) for name in own]
    if sorted(map(str, meaning)) != sorted(classes):
        such = ", ".join(f"{a}: {b}" for a, b in zip(own, classes, strict=True))
        raise ValueError(
            f"the head of {source} has the classes {listed(own)}, not {listed(classes)}: say "
            f"what each means by `labels` of the network, such as {{{such}}} or the other way "
            "round, or train a new head with `new_head: true`"
        )
    return [meaning.index(name) for name in classes]


def matching(name: str, classes: Sequence[str]) -> str | None:
    """The one class that a name can mean; None if there is none, or more than one."""
    same = [one for one in classes if bare(one) == bare(name)]
    alike = [one for one in classes if kind(one) is not None and kind(one) == kind(name)]
    found = same or alike
    return found[0] if len(found) == 1 else None


def kind(name: str) -> int | None:
    """Which of `ALIKE` a name belongs to."""
    return next((i for i, names in enumerate(ALIKE) if bare(name) in names.split()), None)


def bare(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[\W_]", "", name.casefold())


def listed(names: Sequence[str]) -> str:
    """Names, separated by commas."""
    return ", ".join(names)
