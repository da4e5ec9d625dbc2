"""Proxy-tuning on real text: how much of a large model's tuning does a small tuned one replace?

A large and a small Llama are pretrained on books; the small one is tuned on Shakespeare, and the
large one too, for the upper bound. In nats a token of Shakespeare that none has seen:

    gap closed = (base - proxy) / (base - tuned large)
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench.harness import Bench
from benchmarks.bench.timing import MedianInterval
from benchmarks.claims.resampling import resampled
from benchmarks.claims.training import bare, fit
from datamodules.records.document import Document
from datamodules.text.files import PlainText
from modules.decoding.branches.branches import Branch, Branches, proxy_tuned
from modules.decoding.branches.likelihood import loglikelihood
from modules.decoding.pretrained import Pretrained
from modules.prompting.format import Formatted

Nats = NDArray[np.float64]
"""Nats per token of each window, [W]."""
Text = tuple[list[list[int]], list[list[int]]]
"""Windows of text: the prompt of each, and the tokens to predict."""


def plays() -> Path:
    """Shakespeare's plays."""
    return Path(os.environ.get("TRAINER_DATA", "data")) / "tinyshakespeare" / "input.txt"


CONFIGS = Path(__file__).parents[3] / "configs" / "causal_lm"
TOKENIZER = "assets/books_bpe"
SIZES = {"large": (192, 4), "small": (96, 3), "tiny": (64, 2)}
"""Width and number of blocks."""
EXPERTS = ("small", "tiny")
"""Which replace the large one's tuning."""
HEAD = 32
"""Width of an attention head."""
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
CLOSED = 0.5
"""Required share of the gap closed."""
PAPER = "91.1 % (13B), 88.1 % (70B), of task scores"
NETWORK = "--model.init_args.network.init_args"
OPTIMIZER = "--model.init_args.optimizer"
HELD_OUT = (0.9, 1.0)
"""The held-out part of Shakespeare's plays."""
FEW = {
    "class_path": "datamodules.text.files.PlainText",
    "init_args": {"path": f"{plays()}", "span": [0.0, 0.1]},
}
"""Training text of a quick run, which has no time to tokenise the books."""
GIVEN, ASKED = 64, 192
"""Tokens of a window that are only read, and those that are predicted."""


@dataclass(frozen=True)
class Scale:
    """Sizes of training and evaluation.

    Attributes:
        num_steps: Steps on books, of 4096 tokens.
        num_tuned: Steps on Shakespeare, likewise.
        num_windows: Windows of held-out text; all if None.
    """

    num_steps: int
    num_tuned: int
    num_windows: int | None


FULL = Scale(250, 180, None)
QUICK = Scale(1, 1, 3)


class Models:
    """Trains the models of proxy-tuning and keeps them in a folder.

    Args:
        bench: Receives progress reports.
        scale: Sizes of training.
        folder: Where models are written.
    """

    def __init__(self, bench: Bench, scale: Scale, folder: Path):
        self.bench = bench
        self.folder = folder
        self.steps = {
            "books": scaled(scale.num_steps, bench.size),
            "shakespeare": scaled(scale.num_tuned, bench.size),
        }

    def pretrained(self, size: str) -> Branch:
        """A model pretrained on books."""
        width, num_layers = SIZES[size]
        options = {
            "hidden_size": width,
            "intermediate_size": 11 * width // 4,
            "num_hidden_layers": num_layers,
            "num_attention_heads": width // HEAD,
            "num_key_value_heads": width // HEAD,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        }
        return self.trained(f"{size}", "books", 0.02, f"{NETWORK}.options={json.dumps(options)}")

    def tuned(self, size: str) -> Branch:
        """The same fine-tuned on Shakespeare."""
        source = f"{NETWORK}.source={self.folder / size}"
        tokenizer = f"--data.init_args.tokenizer={TOKENIZER}"
        return self.trained(f"{size} tuned", "shakespeare", 0.005, source, tokenizer)

    def trained(self, name: str, config: str, lr: float, *overrides: str) -> Branch:
        """Train, export, and load."""
        muon = {"class_path": "engine.optim.muon.MuonAdamW", "init_args": {"lr": lr}}
        few = [f"--data.init_args.train={json.dumps([FEW])}"] if self.bench.quick else []
        built = bare(
            CONFIGS / f"{config}.yaml",
            self.steps[config],
            f"{OPTIMIZER}={json.dumps(muon)}",
            f"--data.init_args.batch_size={2 if self.bench.quick else 16}",
            f"--trainer.limit_val_batches={1 if self.bench.quick else 8}",
            *few,
            *overrides,
        )
        self.bench.say(f"{name}: {self.steps[config]} steps on {config}")
        minutes, losses = fit(built)
        built.model.export(self.folder / name)
        found = {
            "parameters": sum(p.numel() for p in built.model.parameters()),
            "steps": self.steps[config],
            "minutes": minutes,
            "validation": losses,
        }
        self.bench.details[name] = found
        self.bench.say(f"{name}: {found}")
        return Branch(*Pretrained(str(self.folder / name)).load(), Formatted(""), name=name)


def scaled(num_steps: int, size: float) -> int:
    """Steps at a relative size."""
    return max(1, round(num_steps * size))


# Evaluation


def windows(tokenizer: Any, num: int | None) -> Text:
    """Held-out text in windows: the prompt of each, and the tokens to predict.

    Args:
        tokenizer: Of all models.
        num: Number of windows, from the start; all if None.
    """
    documents = PlainText(str(plays()), span=HELD_OUT).documents()
    text = "".join(one.text for one in documents if isinstance(one, Document))
    ids = tokenizer.encode(text, add_special_tokens=False)
    starts = range(0, len(ids) - GIVEN - ASKED, ASKED)[:num]
    prompts = [ids[at : at + GIVEN] for at in starts]
    return prompts, [ids[at + GIVEN : at + GIVEN + ASKED] for at in starts]


def nats(branches: Branches, text: Text) -> Nats:
    """Nats per token of each window under combined branches, [W]."""
    prompts, asked = text
    read = loglikelihood(branches, [prompts] * len(branches.branches), asked, batch_size=16)
    return np.array([-one.total / len(one.tokens) for one in read])


def gap_closed(base: Nats, proxy: Nats, tuned: Nats) -> MedianInterval:
    """(base - proxy) / (base - tuned large) over windows."""

    def closed(base: Nats, proxy: Nats, tuned: Nats) -> float:
        return float((base.mean() - proxy.mean()) / (base.mean() - tuned.mean()))

    return resampled(closed, base, proxy, tuned)


def sweep(models: Mapping[str, Branch], expert: str, text: Text) -> dict[float, Nats]:
    """Nats of each window by alpha, of the large model and one pair of experts."""
    base, tuned, untuned = (models[name] for name in ("large", f"{expert} tuned", expert))
    return {alpha: nats(proxy_tuned(base, tuned, untuned, alpha), text) for alpha in ALPHAS}


def measure(bench: Bench) -> None:
    """Gap closed by alpha, and the tuned small model alone."""
    scale = QUICK if bench.quick else FULL
    with TemporaryDirectory() as folder:
        make = Models(bench, scale, Path(folder))
        models = {}
        for size in SIZES:
            models[size] = make.pretrained(size)
            models[f"{size} tuned"] = make.tuned(size)
        text = windows(models["large"].tokenizer, scale.num_windows)
        alone = {name: nats(Branches((one,)), text) for name, one in models.items()}
        report_alone(bench, alone)
        for expert in EXPERTS:
            report(bench, expert, alone, sweep(models, expert, text))


def report_alone(bench: Bench, alone: Mapping[str, Nats]) -> None:
    """Details of every model alone."""
    nats = {name: float(found.mean()) for name, found in alone.items()}
    bench.details["alone"] = {"windows": len(alone["large"]), "nats": nats}
    bench.say(f"nats a token alone: {nats}")


def report(
    bench: Bench, expert: str, alone: Mapping[str, Nats], proxy: Mapping[float, Nats]
) -> None:
    """Rows and details of one pair of experts."""
    base, upper = alone["large"], alone["large tuned"]
    closed = {alpha: gap_closed(base, found, upper) for alpha, found in proxy.items()}
    bench.details[f"proxy of {expert} experts"] = {
        "nats by alpha": {alpha: float(found.mean()) for alpha, found in proxy.items()},
        "gap closed by alpha": {alpha: vars(one) for alpha, one in closed.items()},
    }
    for alpha, found in proxy.items():
        bench.say(f"{expert}, alpha {alpha:g}: {found.mean():.4f} nats, closed {closed[alpha]}")
    best = min(ALPHAS, key=lambda alpha: float(proxy[alpha].mean()))
    for alpha in dict.fromkeys((1.0, best)):
        what = f"{expert} experts: gap closed in nats a token of Shakespeare, alpha {alpha:g}"
        bench.row(1, what, closed[alpha], CLOSED, at_least=True, paper=PAPER)
    bench.row(1, f"{expert} experts: alpha 0 less base, nats a token", apart(proxy[0.0], base), 0.0)
    for name, other in (("base", base), ("the expert alone", alone[f"{expert} tuned"])):
        what = f"{expert} experts: proxy at alpha 1 less {name}, nats a token"
        bench.row(1, what, resampled(difference, proxy[1.0], other), 0.0)


def apart(one: Nats, other: Nats) -> float:
    """The largest difference of a window."""
    return float(np.abs(one - other).max())


def difference(one: Nats, other: Nats) -> float:
    """Difference of two means."""
    return float(one.mean() - other.mean())
