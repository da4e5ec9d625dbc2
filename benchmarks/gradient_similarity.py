"""Products and cosines of every document's gradient with a direction, against one plain step.

The bound of a product is a forward and a backward pass of the same batch: in its place each weight
gradient becomes a product with the direction. Others run one document after another, or let
`torch.func.vmap` make all gradients at once; from either, a cosine costs little more.

Random weights, 16 documents of 128 tokens, 12 million parameters.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.bench.clock import timed
from benchmarks.bench.harness import Bench, run
from engine.measure.flops import FlopCounter
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import Directions, similarities, token_products

ROWS, LENGTH, NUM_TASKS = 16, 128, 4
SIZES: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
}
QUICK: dict[str, Any] = SIZES | {
    "vocab_size": 512,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
}


class Passes:
    """The same products in several ways.

    Args:
        sizes: Of a Llama.
        device: Where it computes.
    """

    def __init__(self, sizes: dict[str, Any], device: torch.device):
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        config = LlamaConfig(**sizes, tie_word_embeddings=False)
        self.model: nn.Module = LlamaForCausalLM(config).to(device).eval()
        self.token_BL = torch.randint(sizes["vocab_size"], (ROWS, LENGTH)).to(device)
        self.documents = DocumentTable(ROWS, LENGTH)
        names = chosen_parameters(self.model)
        self.parameters = dict(self.model.named_parameters())
        tasks = [self.random(names) for _ in range(NUM_TASKS)]
        self.direction, self.tasks = Directions.of(tasks[:1]), Directions.of(tasks)

    def random(self, names: list[str]) -> dict[str, Tensor]:
        """A direction."""
        return {name: torch.randn_like(self.parameters[name]) for name in names}

    def loss(self, token_BL: Tensor | None = None) -> Tensor:
        """Sum of the losses of some rows; of all where None."""
        return next_token_loss(self.model, self.token_BL if token_BL is None else token_BL)

    def plain(self) -> None:
        """A forward and a backward pass, weight gradients included."""
        torch.autograd.grad(self.loss(), list(self.parameters.values()))

    def products(self) -> Tensor:
        """Products, ours."""
        found = token_products(self.model, self.loss, self.documents, self.direction)
        return found.product_NQ[:, 0]

    def of_tasks(self) -> None:
        """Products with several directions at once."""
        token_products(self.model, self.loss, self.documents, self.tasks)

    def cosines(self) -> Tensor:
        """Products and norms, ours."""
        found = similarities(self.model, self.loss, self.documents, self.direction)
        return found.cosine_NQ[:, 0]

    def loop(self) -> Tensor:
        """Products, one document after another."""
        weights = list(self.parameters.values())
        gradients = (torch.autograd.grad(self.loss(row[None]), weights) for row in self.token_BL)
        return torch.stack([self.dot(one) for one in gradients])

    def dot(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Product of one gradient with the direction."""
        pairs = zip(gradients, self.direction.by_name.values(), strict=True)
        return torch.stack([(one * other[0]).sum() for one, other in pairs]).sum()

    def vmapped(self) -> Tensor:
        """Products, all gradients at once by torch.func."""
        constant = {name: p.detach() for name, p in self.parameters.items()}

        def of_row(weights: dict[str, Tensor], token_L: Tensor) -> Tensor:
            return next_token_loss(self.model, token_L[None], weights)

        gradients = vmap(grad(of_row), in_dims=(None, 0))(constant, self.token_BL)
        parts = [
            (one * self.direction.by_name[name]).flatten(1).sum(1)
            for name, one in gradients.items()
        ]
        return torch.stack(parts).sum(0)


def next_token_loss(
    model: nn.Module, token_BL: Tensor, weights: dict[str, Tensor] | None = None
) -> Tensor:
    """Sum over rows of the mean loss of a token, with other weights where they are given."""
    options = {"use_cache": False}
    out = functional_call(model, weights or {}, (token_BL,), options)
    logits_TV = out.logits[:, :-1].flatten(0, 1)
    return F.cross_entropy(logits_TV, token_BL[:, 1:].flatten(), reduction="sum") / LENGTH


def flops(work: Callable[[], object]) -> int:
    """Operations of one call."""
    with FlopCounter() as counter:
        work()
    return counter.total


def check(passes: Passes, tolerance: float) -> None:
    """Refuse to time products that are not those of others.

    Args:
        passes: Makes them.
        tolerance: Largest difference, absolute and as a share of the largest product.
    """
    ours = passes.products()
    atol = tolerance * max(1.0, float(ours.abs().max())) if ours.is_cuda else tolerance
    for other in (passes.loop, passes.vmapped):
        torch.testing.assert_close(ours, other(), rtol=tolerance, atol=atol)


def measure(bench: Bench, sizes: dict[str, Any] = SIZES) -> None:
    """Products and cosines of gradients over a plain forward and backward pass."""
    passes = Passes(QUICK if bench.quick else sizes, bench.device)
    check(passes, 1e-3)
    works = {
        "products": passes.products,
        "cosines": passes.cosines,
        "plain": passes.plain,
        "loop": passes.loop,
        "vmap": passes.vmapped,
    }
    measures = {name: timed(work, bench.device) for name, work in works.items()}
    timings = bench.time("gradients", measures, "plain", num_rounds=9)
    over = {name: timings.ratio(name, "plain") for name in works}
    plain = flops(passes.plain)
    what = "products with a direction / forward and backward; peer: one document at a time"
    bench.row(12, what, over["products"], 1.10, timings, peer=over["loop"], limit=1.0)
    if bench.device.type == "cuda":
        what = "products with a direction: one document at a time / ours"
        times = timings.ratio("loop", "products")
        bench.row(12, what, times, 8.0, timings, at_least=True)
    what = "products and norms / forward and backward; peer: torch.func.vmap"
    bench.row(12, what, over["cosines"], 1.25, timings, peer=over["vmap"])
    what = "the same in executed FLOPs: products"
    bench.row(12, what, flops(passes.products) / plain, 1.02, limit=1.0)
    goal = 1.05 * (2 + NUM_TASKS) / 3
    what = f"the same in executed FLOPs: products with {NUM_TASKS} directions at once"
    bench.row(12, what, flops(passes.of_tasks) / plain, goal, limit=(2 + NUM_TASKS) / 3)


if __name__ == "__main__":
    run("gradient_similarity", measure)
