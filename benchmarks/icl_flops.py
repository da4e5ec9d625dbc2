"""FLOPs of icl/opt_6_7b over what its formulas need: scores of a document, and the whole selection.

These are counts, not times: they are taken on the meta device at the sizes of OPT-6.7B, without
weights or data, for one document as long as a row. The minimum of a pass that gives products is a
training step: products take the place of weight gradients. Norms come on top, in the first
iteration alone, by their formulas; the peer computes them every time. At a small size the meta
device must count as real tensors do, and norms must take what their formulas say.

Shape legend: L = tokens of a document, V = vocabulary, D = width.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench.counting import FORMULAS, FusedOnMeta, executed_flops
from benchmarks.bench.harness import Bench, run
from modules.causal_lm.network import FromConfig
from modules.icl.gradients.accounts import Products, Squares
from modules.icl.gradients.documents import DocumentTable
from modules.icl.gradients.operations import Way
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import meet_all
from modules.icl.gradients.watch import Account

CONFIG = Path(__file__).parents[1] / "configs" / "icl" / "opt_6_7b.yaml"
OPT_6_7B = {
    "hidden_size": 4096,
    "word_embed_proj_dim": 4096,
    "ffn_dim": 16_384,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
"""Of opt-6.7b's config.json on the Hugging Face hub, as is its vocabulary."""
VOCABULARY = 50_272
DOCUMENTS = 2_500_000
"""Of the paper's pool."""
GOAL, GOAL_WHOLE = 1.02, 1.10
SMALL_OPTIONS = OPT_6_7B | {
    "hidden_size": 16,
    "word_embed_proj_dim": 16,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@dataclass(frozen=True)
class Paper:
    """Sizes of a model, and of its documents.

    Attributes:
        options: Of an OPT.
        vocabulary: V.
        length: L.
    """

    options: dict[str, Any]
    vocabulary: int
    length: int

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """Outputs and inputs of each linear layer, the head last."""
        width, inner = self.options["hidden_size"], self.options["ffn_dim"]
        block = [(width, width)] * 4 + [(inner, width), (width, inner)]
        return block * self.options["num_hidden_layers"] + [(self.vocabulary, width)]

    @property
    def weights(self) -> int:
        """Of all linear layers, the head included."""
        return sum(outputs * inputs for outputs, inputs in self.matrices)

    @property
    def pairs(self) -> int:
        """Multiply-adds of scores and weighted sums, of the pairs that causal attention sees."""
        seen = self.length * (self.length + 1) // 2
        return int(2 * self.options["num_hidden_layers"] * self.options["hidden_size"] * seen)

    def least_step(self) -> int:
        """FLOPs of a forward and backward pass with all weight gradients."""
        return 6 * self.weights * self.length + 6 * self.pairs

    def norm(self) -> int:
        """FLOPs of the norm of a document's gradient, besides a pass.

        Of each matrix from products between tokens, or from the gradient itself; the head is the
        table of tokens too, which takes one more product between tokens.
        """
        length = self.length
        ways = [(length * (o + i), o * i) for o, i in self.matrices]
        return 2 * length * (sum(map(min, ways)) + length * self.options["hidden_size"])


SMALL = Paper(SMALL_OPTIONS, 40, 8)
"""Documents so short that norms of some matrices come from products between tokens."""


class Nobody:
    """Counts nothing of a pass."""

    def announce(self, name: str, way: Way, saved: Tensor) -> None:
        """Nothing."""

    def add(self, name: str, way: Way, left_T: Tensor, right_T: Tensor) -> None:
        """Nothing."""


class Counted:
    """A model that is counted.

    Args:
        paper: Sizes.
        device: Where; on the meta device nothing is computed.
    """

    def __init__(self, paper: Paper, device: str = "meta"):
        self.paper = paper
        with torch.device(device):
            self.model = FromConfig(paper.vocabulary, paper.options, "opt").eval()
            self.token_BL = torch.arange(paper.length)[None] % paper.vocabulary
            self.position_BL = torch.arange(paper.length)[None]
        self.table = DocumentTable(1, paper.length)
        self.names = chosen_parameters(self.model)

    @property
    def num_parameters(self) -> int:
        """Of the model."""
        return sum(one.numel() for one in self.model.parameters())

    def loss(self) -> Tensor:
        """Logits, summed: their cross-entropy has no product."""
        return self.model(self.token_BL, self.position_BL, [self.paper.length]).sum()

    def step(self) -> int:
        """FLOPs of a forward and backward pass with all weight gradients."""
        self.model.zero_grad()
        return executed_flops(self.loss)

    def products(self) -> int:
        """FLOPs of a pass that gives the product of a document's gradient with a direction."""
        parameters = dict(self.model.named_parameters())
        return self._pass(Products({name: parameters[name][None] for name in self.names}))

    def norm(self) -> int:
        """FLOPs that its norm takes besides a pass; not on the meta device, which sorts nothing."""
        return self._pass(Squares(self.table)) - self._pass(Nobody())

    def _pass(self, account: Account) -> int:
        with FusedOnMeta(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            meet_all(self.model, self.loss, self.names, self.table, account)
        return int(counter.get_total_flops())


@dataclass(frozen=True)
class WholeSelection:
    """FLOPs of a selection, scores alone: a task and training take a thousandth of them.

    Attributes:
        products: Of a pass over a document.
        norm: Of its norm.
        documents: Of the pool.
        iterations: Of the selection.
    """

    products: int
    norm: int
    documents: int
    iterations: int

    @cached_property
    def cached(self) -> int:
        """Norms once."""
        return self.documents * (self.iterations * self.products + self.norm)

    @cached_property
    def anew(self) -> int:
        """Norms in every iteration."""
        return self.documents * self.iterations * (self.products + self.norm)


def check_small() -> None:
    """Refuse to count where counts are not those of real tensors, or not those of formulas.

    Raises:
        RuntimeError: The counts differ; the message gives both.
    """
    real, meta = Counted(SMALL, "cpu"), Counted(SMALL)
    counts = [[one.step(), one.products()] for one in (real, meta)]
    if counts[0] != counts[1]:
        raise RuntimeError(f"real tensors count {counts[0]}, the meta device {counts[1]}")
    if real.norm() != SMALL.norm():
        raise RuntimeError(f"norms take {real.norm()} FLOPs, their formulas {SMALL.norm()}")


def measure(bench: Bench) -> None:
    """Operations of icl/opt_6_7b, counted: scores of a document, and the whole selection."""
    check_small()
    bench.say("the meta device counts as real tensors do, and norms take what formulas say")
    given = yaml.safe_load(CONFIG.read_text())
    row, how = given["data"]["init_args"]["row_length"], given["model"]["init_args"]["selection"]
    paper = Paper(OPT_6_7B, VOCABULARY, row)
    counted = Counted(paper)
    products, least = counted.products(), paper.least_step()
    whole = WholeSelection(products, paper.norm(), DOCUMENTS, how["iterations"])
    bench.details["counts"] = {
        "parameters": counted.num_parameters,
        "step_tera_flops": counted.step() / 1e12,
        "products_tera_flops": products / 1e12,
        "norm_tera_flops": paper.norm() / 1e12,
        "selection_exa_flops": whole.cached / 1e18,
        "days_at_400_tera_flops_a_second": whole.cached / 400e12 / 86_400,
    }
    for name, value in bench.details["counts"].items():
        bench.say(f"{name}: {value:,.2f}")
    what = "executed / minimum FLOPs, icl/opt_6_7b, products of a document"
    bench.row(12, what, products / least, GOAL, peer=counted.step() / least, limit=1.0)
    what = "executed / minimum FLOPs, icl/opt_6_7b, scores of the whole selection"
    least_whole = DOCUMENTS * how["iterations"] * least
    value, peer = whole.cached / least_whole, whole.anew / least_whole
    bench.row(12, what, value, GOAL_WHOLE, peer=peer, limit=1.0)


if __name__ == "__main__":
    run("icl_flops", measure)
