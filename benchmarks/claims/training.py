"""Trains what a config describes, for a claim: the model, its cost, and what it knows of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import exp
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.bench.from_config import configured
from engine.measure.flops import FlopCounter
from modules.lmfusion.network.fusion import FusionNetwork
from modules.lmfusion.network.mask import LATER, PREFIX, Runs
from modules.lmfusion.system import LMFusion

CONFIGS = Path(__file__).parent.parent.parent / "configs" / "lmfusion"
NEVER = 10**9
"""Steps between validations in training."""
COUNTED = 4
"""Batches of which the operations of a step are the mean."""


@dataclass(frozen=True)
class Trained:
    """A model that a config trained.

    Attributes:
        system: The model, ready to draw.
        num_steps: Optimizer steps.
        flops: Floating-point operations executed in training, the optimizer's included.
        minutes: Wall-clock time of training.
        losses: Of the validation at the end: text in nats a token, perplexity, image.
    """

    system: LMFusion
    num_steps: int
    flops: float
    minutes: float
    losses: dict[str, float]


def bare(config: Path, num_steps: int | None, *overrides: str) -> Any:
    """What a config describes, without logger, callbacks and checkpoints."""
    steps = [] if num_steps is None else [f"--trainer.max_steps={num_steps}"]
    return configured(
        [config],
        *steps,
        f"--trainer.val_check_interval={NEVER}",
        "--trainer.logger=false",
        "--trainer.callbacks=[]",
        "--trainer.enable_checkpointing=false",
        "--trainer.enable_progress_bar=false",
        *overrides,
    )


def fit(built: Any) -> tuple[float, dict[str, float]]:
    """Train, as the command line would, and validate at the end; minutes, and what was found."""
    start = monotonic()
    built.trainer.fit(built.model, built.datamodule)
    minutes = (monotonic() - start) / 60
    built.trainer.validate(built.model, built.datamodule, verbose=False)
    built.model.eval()
    found = built.trainer.callback_metrics
    return minutes, {n.removeprefix("validate/"): float(value) for n, value in found.items()}


def train(config: str, num_steps: int | None, *overrides: str) -> Trained:
    """Fit a config of lmfusion, as the command line would, and validate at the end.

    Args:
        config: Its name.
        num_steps: Optimizer steps, which the learning rate follows; None takes the config's own.
        overrides: Further options, as on the command line.
    """
    built = bare(CONFIGS / f"{config}.yaml", num_steps, *overrides)
    minutes, losses = fit(built)
    num_steps = built.trainer.global_step
    flops = num_steps * flops_a_step(built)
    return Trained(built.model, num_steps, flops, minutes, losses)


def flops_a_step(built: Any) -> float:
    """Operations of forward, backward and the optimizer's matrix products, executed.

    The mean of some batches; the optimizer steps at a learning rate of zero, so that the weights
    stay as they were.
    """
    system: LMFusion = built.model
    [optimizer] = built.trainer.optimizers
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    total = 0
    for batch in islice(built.datamodule.train_dataloader(), COUNTED):
        batch.pop("rejects", None)
        with FlopCounter() as counter:
            noised = system.noise(batch)
            out = system.predict_noise(batch, noised)
            loss = system.image_total(batch, noised, out) + system.later_text_total(batch, out)
            loss.backward()
            optimizer.step()
        system.zero_grad()
        total += counter.total
    return total / COUNTED


@torch.no_grad()
def text_logits(network: FusionNetwork, token_T: Tensor) -> Tensor:
    """Scores [T, V] of the language model's own tokens, of a document of text alone."""
    none = torch.zeros(0, *network.patchifier.shape), torch.zeros(0)
    kind = PREFIX if network.freeze_text else LATER
    runs = Runs([kind], [0], [len(token_T)])
    out = network(token_T, torch.arange(len(token_T)), *none, runs, read_prefix=True)
    hidden_TD = out.prefix_WD if network.freeze_text else out.later_LD
    assert hidden_TD is not None
    return network.logits(hidden_TD)[:, :-1]


def tokens(tokenizer: Any, text: str) -> Tensor:
    """Ids of a text, behind the start token and before the end token."""
    end = tokenizer.eos_token_id
    return torch.tensor([end, *tokenizer.encode(text, add_special_tokens=False), end])


def perplexity(system: LMFusion, texts: Sequence[str]) -> float:
    """Perplexity a token of texts alone, ends included."""
    nats, count = 0.0, 0
    for text in texts:
        token_T = tokens(system.tokenizer, text)
        logits_TV = text_logits(system.fusion, token_T[:-1]).double()
        nats += float(cross_entropy(logits_TV, token_T[1:], reduction="sum"))
        count += len(token_T) - 1
    return exp(nats / count)


@torch.no_grad()
def num_different(system: LMFusion, source: str, texts: Sequence[str]) -> int:
    """How many logits of texts alone are not, to the last bit, those of the model in a folder."""
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    different = 0
    for text in texts:
        token_T = tokens(system.tokenizer, text)
        wanted_TV = reference(token_T[None]).logits[0]
        different += int((text_logits(system.fusion, token_T) != wanted_TV).sum())
    return different
