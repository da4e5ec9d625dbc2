"""The result of probing an architecture, and where it is cached.

A verdict holds for a shrunk config, a setting and the versions of torch, transformers and this
code; it is written to `.cache/architectures` and found again by a digest of them.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from engine.disk.whole import whole
from modules.causal_lm.router import unbalanced

FOLDER = Path(".cache/architectures")
"""Where verdicts are kept, under the folder that a run is started in."""
CODE = ("modules/causal_lm/**/*.py", "modules/nn/document_attention.py")
"""Files that a verdict depends on."""

Kind = Literal["run", "leak", "causal", "own", "alone", "loss", "chunk"]
"""What is wrong: code that does not run, documents that see one another, tokens that see later
ones, logits that are not the architecture's own, or not those of documents alone, another loss than
its own, or another one in chunks."""
Cache = Literal["growing", "own", "none"]
"""Keys and values while a text is written: in `modules.causal_lm.kv_cache`, in what transformers
takes for the architecture, or computed again for every token."""


@dataclass(frozen=True)
class Fault:
    """One thing in which a setting differs from the architecture.

    Attributes:
        kind: What is wrong.
        message: A clause that says what was compared and by how much it is off.
    """

    kind: Kind
    message: str

    @property
    def is_of_attention(self) -> bool:
        """Whether another setting of attention may be without it."""
        return self.kind not in ("loss", "chunk")


@dataclass(frozen=True)
class Sampling:
    """How texts are written.

    Attributes:
        attention: Implementation of attention with a cache and left padding.
        cache: Where keys and values are kept.
    """

    attention: str = "sdpa"
    cache: Cache = "growing"

    @contextmanager
    def of(self, model: Any, attention: str) -> Iterator[None]:
        """Let a model write, and have the attention of training again afterwards."""
        model.set_attn_implementation(self.attention)
        try:
            with unbalanced(model.config):
                yield
        finally:
            model.set_attn_implementation(attention)

    def cache_arguments(self, config: Any) -> dict[str, Any]:
        """Where keys and values are kept, as arguments of transformers' `generate`."""
        if self.cache == "growing":
            from modules.causal_lm.kv_cache import growing_cache  # imports transformers: seconds

            return {"past_key_values": growing_cache(config)}
        return {"use_cache": self.cache == "own"}


@dataclass(frozen=True)
class Verdict:
    """What holds for an architecture under one setting.

    Attributes:
        faults: Empty where packed rows are computed as the architecture computes each document.
        windows: Options within whose smallest that is so; empty where it is so for any length.
        share: Part of that smallest.
        learned: Whether positions are learned, so that none lies after the last.
        sampling: How texts can be written; None where none of the ways gives the model's own.
        unsampled: Why not.
    """

    faults: tuple[Fault, ...] = ()
    windows: tuple[str, ...] = ()
    share: float = 1.0
    learned: bool = False
    sampling: Sampling | None = Sampling()
    unsampled: str = ""


def kept(key: str, make: Callable[[], Verdict]) -> Verdict:
    """The verdict under a key, from the file that an earlier run or another rank wrote."""
    path = FOLDER / f"{key}.json"
    found = read(path)
    if found is None:
        found = make()
        write(path, found)
    return found


def read(path: Path) -> Verdict | None:
    """A verdict that was written; None where there is none, or no whole one."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        sampling = known.pop("sampling")
        faults = tuple(Fault(**one) for one in known.pop("faults"))
        windows = tuple(known.pop("windows"))
        return Verdict(faults, windows, sampling=sampling and Sampling(**sampling), **known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(path: Path, verdict: Verdict) -> None:
    """Write a verdict, all or nothing, so that no rank reads half of it.

    In a folder that cannot be written to there is none, and the next run tries again.
    """
    with suppress(OSError), whole(path) as draft:
        draft.write_text(json.dumps(asdict(verdict)), encoding="utf-8")


def digest(config: Any, *setting: str) -> str:
    """Name of a verdict."""
    import torch
    import transformers

    options = {k: v for k, v in config.to_dict().items() if not k.startswith("_")}
    for name in ("transformers_version", "dtype", "torch_dtype", "architectures"):
        options.pop(name, None)
    facts = [options, setting, torch.__version__, transformers.__version__, code()]
    return blake2b(
        json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=16
    ).hexdigest()


@cache
def code() -> str:
    """Digest of the files that decide."""
    root = Path(__file__).parents[3]
    files = sorted(path for pattern in CODE for path in root.glob(pattern))
    return blake2b(b"".join(path.read_bytes() for path in files), digest_size=16).hexdigest()
