"""Every causal language model of transformers, tried small: `docs/architectures.md`.

    python -m benchmarks.architectures

Each model type is built from the options of its published model, shrunk, and tried under each
setting of attention by `modules.causal_lm.probe`, as a run does before it reads weights. Options
decide, too: a run's own verdict holds for the options it was given.
"""

import argparse
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.causal_lm.architecture.hf_attention import register
from modules.causal_lm.architecture.options import as_decoder, make_config, own_ids
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.probe.admission import SETTINGS
from modules.causal_lm.probe.run import examine_all
from modules.causal_lm.probe.verdict import Verdict

PAGE = Path("docs/architectures.md")
VOCABULARY = 50_000
"""Of the config before it is shrunk."""

OPTIONS: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"num_experts_per_tok": 6},
    "dots1": {"n_routed_experts": 32, "num_experts_per_tok": 4, "n_shared_experts": 1},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 16},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 16},
    "ministral": {"head_dim": 128},
    "nemotron": {"head_dim": 128, "num_key_value_heads": 48},
    "xmod": {"default_language": "en_XX"},
}
"""What some configs do not have by themselves, or not as their published models have it."""

WORDS = {
    "run": "does not run",
    "leak": "documents see one another",
    "causal": "not causal",
    "own": "not its own attention",
    "alone": "packed is not alone",
    "loss": "not its own loss",
}
"""Kinds of faults in a table."""


@dataclass(frozen=True)
class Row:
    """One model type.

    Attributes:
        name: The model type.
        cells: What holds under each setting.
        chunk: Whether its loss can be computed in chunks; empty where it is not exact.
        texts: How texts are written; empty where it is not exact.
        reason: The first reason why it is not exact anywhere, or cannot be built.
        is_built: Whether it could be built at all.
    """

    name: str
    cells: tuple[str, ...] = ()
    chunk: str = ""
    texts: str = ""
    reason: str = ""
    is_built: bool = True

    @property
    def is_exact(self) -> bool:
        """Whether some setting is exact."""
        return any(cell.startswith("exact") for cell in self.cells)


def model_types() -> list[str]:
    """All that transformers calls causal language models."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def judge(name: str, settings: Iterable[str] = SETTINGS) -> Row:
    """Try a model type under some settings."""
    register()
    options = OPTIONS.get(name, {})
    try:
        config = make_config(name, {"vocab_size": VOCABULARY, **options})
        config = as_decoder(own_ids(config, options))
    except Exception as error:
        return Row(name, reason=first_line(error), is_built=False)
    found = examine_all(config, settings, True, LanguageModel)
    if all(only_runs_not(one) for one in found):
        return Row(name, reason=plain(found[0].faults[0].message), is_built=False)
    cells = tuple(map(cell, found))
    exact = [one for one in found if not any(f.is_of_attention for f in one.faults)]
    if not exact:
        return Row(name, cells, reason=plain(found[0].faults[0].message))
    chunk = "yes" if not exact[0].faults else "no"
    return Row(name, cells, chunk, texts(exact[0]))


def only_runs_not(verdict: Verdict) -> bool:
    """Whether the code does not run under a setting."""
    return bool(verdict.faults) and all(one.kind == "run" for one in verdict.faults)


def cell(verdict: Verdict) -> str:
    """What holds under a setting, in a few words."""
    faults = [one for one in verdict.faults if one.is_of_attention]
    if faults:
        return WORDS[faults[0].kind]
    return f"exact up to {' and '.join(verdict.windows)}" if verdict.windows else "exact"


def texts(verdict: Verdict) -> str:
    """How texts are written."""
    if verdict.sampling is None:
        return "no"
    slow = ", without a cache" if verdict.sampling.cache == "none" else ""
    return f"{verdict.sampling.attention}{slow}"


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return plain((str(error).strip().splitlines() or [type(error).__name__])[-1].strip())


def plain(text: str) -> str:
    """A text that does not end a cell of a table."""
    return text.replace("|", "/")[:160]


def page(rows: list[Row]) -> str:
    """The page of all model types."""
    import torch
    import transformers

    exact = [row for row in rows if row.is_exact]
    refused = [row for row in rows if row.is_built and not row.is_exact]
    unbuilt = [row for row in rows if not row.is_built]
    versions = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    head = INTRODUCTION.format(
        versions=versions, all=len(rows), exact=len(exact), refused=len(refused), un=len(unbuilt)
    )
    named = "".join(f" {one} |" for one in SETTINGS)
    parts = [
        head,
        "## Exact\n",
        f"| model type |{named} loss_chunk | texts |\n|---|---|---|---|---|---|",
        *(f"| {r.name} | {' | '.join(r.cells)} | {r.chunk} | {r.texts} |" for r in exact),
        "\n## Refused\n",
        f"| model type |{named} why, with the first |\n|---|---|---|---|---|",
        *(f"| {r.name} | {' | '.join(r.cells)} | {r.reason} |" for r in refused),
        "\n## Not built\n",
        "| model type | why |\n|---|---|",
        *(f"| {r.name} | {r.reason} |" for r in unbuilt),
    ]
    return "\n".join(parts) + "\n"


INTRODUCTION = """# Architectures

Made by `python -m benchmarks.architectures` with {versions}: {all} model types that transformers
calls causal language models, of which {exact} are exact under at least one setting of `attention`,
{refused} are refused and {un} are not built: models of more than text, whose text models are named,
and options of published models that do not run small.

A run tries its own architecture and options in the same way before it reads weights, small, and
keeps the verdict in `.cache/architectures`; what is not exact is refused in one sentence. Tried are
packed documents against the same alone; whether a document sees another; the architecture's own
attention, on documents longer than any window; causality; the architecture's own loss; the loss in
chunks; written texts, padded and with a cache, against the whole forward pass.

`exact up to` names the option beyond whose value documents are refused. `texts` is the attention
with which samples are written; where it is `no`, a model is trained but not sampled. Encoders are
read from left to right (`is_decoder`), exports included.
"""


def told(text: str) -> dict[str, str]:
    """What a page says of each model type under the first setting; `WORDS["run"]` where not built.

    Args:
        text: The page.
    """
    found, is_built = {}, True
    for line in text.splitlines():
        is_built = is_built and line != "## Not built"
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] != "model type" and not cells[0].startswith("---"):
            found[cells[0]] = cells[1] if is_built else WORDS["run"]
    return found


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="model types to show instead of all")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in arguments.only or model_types():
        rows.append(judge(name))
        print(rows[-1].name, *(rows[-1].cells or [rows[-1].reason]), sep=" | ", flush=True)
    if not arguments.only:
        PAGE.write_text(page(rows), encoding="utf-8")
        print(PAGE)


if __name__ == "__main__":
    main()
