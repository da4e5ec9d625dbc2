"""Which architectures are trained, under which setting, and up to which length.

What `modules.causal_lm.probe.run` finds out is kept in a file, so that only the first run of an
architecture under a setting takes the second that it costs.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules.causal_lm.probe.comparison import Make
from modules.causal_lm.probe.run import examine
from modules.causal_lm.probe.shrink import shrink
from modules.causal_lm.probe.verdict import Sampling, Verdict, digest, kept
from modules.causal_lm.probe.windows import windows

SETTINGS = ("documents", "sdpa", "eager")
"""Attention that runs on a CPU."""
POSITIONS_OPTION = "max_position_embeddings"
"""What most architectures call the number of positions that they were made for."""


@dataclass(frozen=True)
class Limits:
    """Lengths that an architecture is trained at.

    Attributes:
        longest: Tokens of a document up to which attention is the architecture's own; any where
            None.
        reason: The option that says so.
        positions: Positions that the model was made for, where it names them.
        positions_option: What the architecture calls them.
        learned: Whether they are learned, so that none lies after the last.
        attention: The setting.
        unsampled: Why texts cannot be generated, where they cannot.
    """

    longest: int | None = None
    reason: str = ""
    positions: int | None = None
    positions_option: str = POSITIONS_OPTION
    learned: bool = False
    attention: str = "documents"
    unsampled: str = ""

    def check_documents(self, length_N: Sequence[int]) -> None:
        """Refuse a document that is too long.

        Raises:
            ValueError: Names its length and the option.
        """
        longest = max(length_N, default=0)
        if self.learned and self.positions is not None and longest > self.positions:
            raise ValueError(f"a document of {longest} tokens is longer than {self._places()}")
        if self.longest is not None and longest > self.longest:
            raise ValueError(f"a document of {longest} tokens is longer than {self._window()}")

    def check_rows(self, row_length: int) -> None:
        """Refuse rows that could hold such a document; rotary positions only cause a warning.

        Raises:
            ValueError: Names the length of rows and the option.
        """
        if self.longest is not None and row_length > self.longest:
            raise ValueError(
                f"rows of {row_length} tokens (data.init_args.row_length) may hold documents "
                f"longer than {self._window()}"
            )
        if self.positions is None or row_length <= self.positions:
            return
        if self.learned:
            raise ValueError(
                f"rows of {row_length} tokens (data.init_args.row_length) are longer than "
                f"{self._places()}"
            )
        warnings.warn(
            f"rows of {row_length} tokens (data.init_args.row_length) may hold documents longer "
            f"than the {self.positions} positions that the model was made for "
            f"({self.positions_option}); texts are never written beyond them",
            stacklevel=2,
        )

    def check_writing(self, model_type: str) -> None:
        """Refuse to write texts that would not be the architecture's own.

        Raises:
            ValueError: Says why.
        """
        if self.unsampled:
            raise ValueError(f"{model_type} cannot write texts here: {self.unsampled}")

    def _places(self) -> str:
        return f"the {self.positions} positions that the model learns ({self.positions_option})"

    def _window(self) -> str:
        others = " or ".join(repr(one) for one in SETTINGS if one != self.attention)
        return (
            f"the {self.longest} tokens ({self.reason}) up to which attention '{self.attention}' "
            f"is the model's own; set attention to {others}, or shorten the rows"
        )


def admit(
    config: Any, attention: str, loss_chunk: int | None, make: Make
) -> tuple[Limits, Sampling]:
    """Let an architecture in, with its limits, or say why not.

    Args:
        config: Of a `transformers` causal language model; no weight is read.
        attention: The setting of the trainer.
        loss_chunk: As in `LanguageModel`.
        make: `LanguageModel`.

    Returns:
        Up to which lengths it is exact, and how texts are generated.

    Raises:
        ValueError: What was compared, by how much it is off, and which settings are exact.
    """
    verdict = verdict_of(config, attention, loss_chunk is not None, make)
    if verdict.faults:
        raise ValueError(refusal(config, attention, loss_chunk is not None, verdict, make))
    if verdict.sampling is None:
        warnings.warn(
            f"{config.model_type} is trained, but cannot write texts here: {verdict.unsampled}",
            stacklevel=2,
        )
    return limits(config, attention, verdict), verdict.sampling or Sampling()


def verdict_of(config: Any, attention: str, chunked: bool, make: Make) -> Verdict:
    """The verdict on an architecture under a setting, from an earlier run where there is one."""
    tried = attention if attention in SETTINGS else "sdpa"  # flash kernels are not for CPUs
    try:
        key = digest(shrink(config), tried, str(chunked))
    except Exception:  # options that shrink does not understand: the probe says what of them
        key = digest(config, tried, str(chunked))
    return kept(key, lambda: examine(config, tried, chunked, make))


def limits(config: Any, attention: str, verdict: Verdict) -> Limits:
    """What a verdict means for the sizes of a real config."""
    found = {name: value for name, value in windows(config).items() if name in verdict.windows}
    name = min(found, key=lambda one: found[one], default="")
    positions = getattr(config, POSITIONS_OPTION, None)
    return Limits(
        longest=int(found[name] * verdict.share) if name else None,
        reason=f"{name} {found[name]}" if name else "",
        positions=positions if isinstance(positions, int) else None,
        positions_option=config.attribute_map.get(POSITIONS_OPTION, POSITIONS_OPTION),
        learned=verdict.learned,
        attention=attention,
        unsampled=verdict.unsampled,
    )


def refusal(config: Any, attention: str, chunked: bool, verdict: Verdict, make: Make) -> str:
    """Why an architecture is not trained as it was asked for, and how it would be."""
    first = verdict.faults[0]
    verb = "does not run" if first.kind == "run" else "is not trained exactly"
    start = f"{config.model_type} {verb} with attention '{attention}': {first.message}"
    if first.kind == "chunk":
        return f"{start}; leave loss_chunk out"
    if first.kind == "loss":
        return f"{start}; switch off what only the architecture's own loss reads"
    exact = {one: verdict_of(config, one, False, make) for one in SETTINGS if one != attention}
    named = [in_words(one, found) for one, found in exact.items() if not found.faults]
    if named:
        whole = chunked and any(
            verdict_of(config, one, True, make).faults for one in exact if not exact[one].faults
        )
        without = ", without loss_chunk" if whole else ""
        return f"{start}; exact for it: attention {' or '.join(named)}{without}"
    if first.kind == "run" and not any(runs(config, one, make) for one in SETTINGS):
        return f"{start}; no other attention runs either: see whether the options fit together"
    return f"{start}; no attention is exact for it in rows of several documents"


def in_words(attention: str, verdict: Verdict) -> str:
    """A setting, and the windows up to which it is exact."""
    return f"'{attention}'" + (f" up to {' and '.join(verdict.windows)}" * bool(verdict.windows))


def runs(config: Any, attention: str, make: Make) -> bool:
    """Whether the code of an architecture runs under a setting at all."""
    return all(one.kind != "run" for one in verdict_of(config, attention, False, make).faults)
