"""Cost of a step of simplex diffusion at a real vocabulary, against its lower bound.

A step embeds the shares of all tokens at each summary position, runs an encoder over article and
summary, computes logits at the summary's positions, chooses tokens and noises them. The bound is
the encoder and the two products with the vocabulary's matrix alone. A plain step computes logits at
every position, sorts the whole vocabulary and draws its noise in numpy. Steering adds a classifier
of the same vocabulary, forward and backward, over the summary.

Random weights, the shape of RoBERTa-base with six layers, one article, as in the authors' lengths.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.bench.clock import timed
from benchmarks.bench.harness import Bench, run
from modules.classifier.network import FromConfig as Classifier
from modules.diffusion.schedule import CosineSchedule
from modules.summariser.generate import Generation, SummarySampler
from modules.summariser.marks import Marks
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.processes.diffusion import Diffusion
from modules.summariser.processes.simplex import SelfConditioning, Simplex
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide, OpenGuide

VOCABULARY, ARTICLE, SUMMARY = 50_265, 412, 100
NUM_STEPS = 2
"""Steps that are timed together."""
STANCES = ["left", "center", "right"]
MARKS = Marks(start=0, end=2, pad=1)
SIZES: dict[str, Any] = {"num_hidden_layers": 6, "max_position_embeddings": 514}
QUICK: dict[str, Any] = SIZES | {
    "num_hidden_layers": 1,
    "hidden_size": 64,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
P = 0.95


class Steps:
    """The same step in four ways.

    Args:
        sizes: Of encoder and classifier.
        device: Where they compute.
        rows: Articles.
    """

    def __init__(self, sizes: dict[str, Any], device: torch.device, rows: int = 1):
        self.device, self.rows = device, rows
        torch.manual_seed(0)
        self.network = FromConfig(VOCABULARY, sizes).to(device).eval().requires_grad_(False)
        self.article_BC = torch.randint(3, VOCABULARY, (rows, ARTICLE)).to(device)
        self.mask_BC = torch.ones_like(self.article_BC, dtype=torch.bool)
        guide = Classifier(VOCABULARY, MARKS.pad, STANCES, sizes, "roberta").to(device).eval()
        opened = OpenGuide(
            Guide("none"),
            guide.requires_grad_(False),
            torch.arange(VOCABULARY, device=device),
            MARKS,
            MARKS.start,
        )
        self.steering = Steering(Control([opened.guide], strength=30.0), [opened])
        self.model: Any = self.network.model
        self.rng = np.random.default_rng(0)

    def ours(self, steering: Steering | None) -> None:
        """Steps as `predict` takes them."""
        schedule = CosineSchedule(5000, offset=1e-4, max_beta=1.0)
        diffusion = Diffusion(Simplex(), schedule, SelfConditioning(), MARKS)
        how = diffusion, Generation(NUM_STEPS)
        sampler = SummarySampler(self.network, *how, SUMMARY, steering)
        target_B = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        names = [str(n) for n in range(self.rows)]
        sampler.draw(self.article_BC, self.mask_BC, target_B, names)

    @torch.no_grad()
    def bound(self) -> None:
        """The encoder and the two products with the vocabulary's matrix."""
        words: nn.Module = self.model.get_input_embeddings()
        weight: Tensor = words.weight  # type: ignore[assignment]
        share_BSV = torch.full((self.rows, SUMMARY, VOCABULARY), 1 / VOCABULARY, device=self.device)
        for _ in range(NUM_STEPS):
            x = torch.cat([words(self.article_BC), share_BSV @ weight], 1)
            hidden = self.model.base_model(inputs_embeds=x).last_hidden_state[:, -SUMMARY:]
            hidden @ weight.T

    @torch.no_grad()
    def plain(self) -> None:
        """Logits everywhere, a whole sort, the host's noise."""
        words = self.model.get_input_embeddings()
        simplex = 5 * self.noise()
        before = torch.zeros_like(simplex)
        for _ in range(NUM_STEPS):
            share = (simplex.softmax(-1) + before.softmax(-1)) / 2
            x = torch.cat([words(self.article_BC), share @ words.weight], 1)
            before = self.model(inputs_embeds=x).logits[:, -SUMMARY:]
            top, index = before.softmax(-1).sort(-1, descending=True)
            inside = top.where(top.cumsum(-1) - top < P, 0)
            drawn = inside.flatten(0, 1).multinomial(1).view(self.rows, SUMMARY, 1)
            token = index.gather(-1, drawn)
            hot = torch.full_like(before, -5.0).scatter(-1, token, 5.0)
            simplex = 0.5**0.5 * (hot + 5 * self.noise())

    def noise(self) -> Tensor:
        """Standard normal noise of a summary's simplexes, in numpy."""
        drawn = self.rng.standard_normal((self.rows, SUMMARY, VOCABULARY))
        return torch.from_numpy(drawn).float().to(self.device)


def measure(bench: Bench, rows: int = 1) -> None:
    """A step of simplex diffusion over its encoder and two products with the vocabulary."""
    steps = Steps(QUICK if bench.quick else SIZES, bench.device, rows)
    per_step = partial(timed, device=bench.device, count=NUM_STEPS)
    measures = {
        "ours": per_step(lambda: steps.ours(None)),
        "steered": per_step(lambda: steps.ours(steps.steering)),
        "bound": per_step(steps.bound),
        "plain": per_step(steps.plain),
    }
    timings = bench.time("step", measures, "bound")
    plain = timings.ratio("plain", "bound")
    what, goal = "simplex step / encoder and two vocabulary products", bench.aim(1.15, 1.10)
    bench.row(13, what, timings.ratio("ours", "bound"), goal, timings, peer=plain, limit=1.0)
    what = "steered step / unsteered step (a classifier of the encoder's size)"
    bench.row(13, what, timings.ratio("steered", "ours"), 2.0, timings)


if __name__ == "__main__":
    run("simplex_step", measure)
