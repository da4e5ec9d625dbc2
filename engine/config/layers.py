"""Config files over one another: what a layer says that another one below it takes back."""

from pathlib import Path

from engine.config.origins import in_file, names_model, shown

FEW = 3
"""Keys that are told."""


def taken_back(configs: list[Path]) -> str | None:
    """A line about the first layer that comes too early; None where there is none.

    A layer is a file that names no model, as configs/debug.yaml. Given before the file that does,
    what both say is that file's, which is seldom meant.

    Args:
        configs: As given, in order.
    """
    main = next((i for i, config in enumerate(configs) if names_model(config)), None)
    for layer in configs[: main or 0]:
        over = leaves(configs[main or 0])
        lost = [f"{k} {over[k]} (not {v})" for k, v in leaves(layer).items() if over.get(k, v) != v]
        if lost:
            told = ", ".join([*lost[:FEW], *(["..."] if lost[FEW:] else [])])
            under = f"{shown(layer)} lies under {shown(configs[main or 0])}"
            return f"{under}, which sets {told}; give it last if it shall win"
    return None


def leaves(config: Path) -> dict[str, str]:
    """Every key of a file that holds no further keys, and its value as text."""
    return {p.key: str(p.value) for p in in_file(config) if not isinstance(p.value, dict | list)}
