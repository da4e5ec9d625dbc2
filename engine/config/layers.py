"""Config files over one another: what lies under a run, and what a layer says in vain."""

import os
import re
from pathlib import Path

from engine.config.origins import Origin, config_files, in_file, option_at, shown

BASE = Path(__file__).parents[2] / "configs" / "base.yaml"
"""What every run shares; the parser's default file, under all that is given."""
FEW = 3
"""Number of keys that are named."""


def base_beside(config: Path) -> Path | None:
    """What all runs of the folder of a config share, its `base.yaml`; None where it has none."""
    base = config.parent / BASE.name
    is_own = base.resolve() in (config.resolve(), BASE)
    return base if not is_own and os.path.isfile(base) else None  # a config may be given as text


def with_bases(args: list[str]) -> list[str]:
    """A command line with the base of each folder put before the first of its configs.

    Whatever reads configs of runs reads these layers. A base that is given by hand stays where it
    is, and `BASE` is none of them.
    """
    result: list[str] = []
    given: list[Path] = []
    for index, arg in enumerate(args):
        name, value = option_at(args, index) or ("", "")
        if name == "config" and value:
            base = base_beside(Path(value))
            if base is not None and base.resolve() not in given:
                result.append(f"--config={base}")
            given += [one.resolve() for one in (base, Path(value)) if one is not None]
        result.append(arg)
    return result


def layered(configs: list[Path]) -> list[Path]:
    """Configs of a run, the later the stronger, and what lies under them, as `with_bases`."""
    return config_files(with_bases([f"--config={path}" for path in configs]))


def names_model(config: Path) -> bool:
    """Whether a config, or what lies under it, says what is trained; the others are layers."""
    return any(map(says_model, layered([config])))


def says_model(config: Path) -> bool:
    """Whether a file itself says what is trained."""
    try:
        text = config.read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"""^\s*\{?\s*["']?model["']?\s*:""", text, re.M) is not None


def taken_back(configs: list[Path]) -> str | None:
    """A line about the first layer that comes too early; None where there is none.

    A layer is a file that names no model, as configs/debug.yaml. Given before the file that does,
    what both say is that file's, or its base's, which is seldom meant.

    Args:
        configs: As given, in order.
    """
    main = next((i for i, config in enumerate(configs) if names_model(config)), None)
    for layer in configs[: main or 0]:
        over = {p.key: p for file in layered([configs[main or 0]]) for p in leaves(file)}
        both = [(p, over[p.key]) for p in leaves(layer) if p.key in over]
        lost = [(key, by) for key, by in both if str(by.value) != str(key.value)]
        if lost:
            source = lost[0][1].source
            keys = [f"{p.key} {by.value} (not {p.value})" for p, by in lost if by.source == source]
            listed = ", ".join([*keys[:FEW], *(["..."] if keys[FEW:] else [])])
            under = f"{shown(layer)} lies under {source}"
            return f"{under}, which sets {listed}; give it last if it shall win"
    return None


def leaves(config: Path) -> list[Origin]:
    """Every key of a file that holds no further keys."""
    return [p for p in in_file(config) if not isinstance(p.value, dict | list)]
