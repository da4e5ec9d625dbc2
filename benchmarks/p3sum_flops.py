"""FLOPs of p3sum/paper over what its formulas need: a training step, a summary, its steering.

These are counts, not times: they are taken on the meta device, at the sizes of roberta-base and the
lengths of configs/p3sum/paper.yaml, without weights or data. The minimum is that of the matrix
products on paper: every linear layer once a position, the output layer at the summary's positions
alone, attention by its pairs. The peer computes logits at all positions, as the authors' code does.
The meta device must give the same counts as real tensors at a small size.

Shape legend: B = rows, C = article positions, S = summary positions, V = vocabulary, D = width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
import yaml
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from benchmarks.bench.counting import FORMULAS, FusedOnMeta, executed_flops
from benchmarks.bench.harness import Bench, run
from modules.classifier.network import ClassifierNetwork
from modules.summariser.marks import Marks
from modules.summariser.network.masked_lm import FromConfig
from modules.summariser.steering.control import Control, Steering
from modules.summariser.steering.guide import Guide, OpenGuide, Sees
from modules.summariser.steering.stance_token import Predictor

CONFIG = Path(__file__).parents[1] / "configs" / "p3sum" / "paper.yaml"
ROBERTA_BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}
"""Of roberta-base's config.json on the Hugging Face hub, as is its vocabulary."""
VOCABULARY = 50_265
GOAL = 1.05
"""Of the fused kernel, which computes scores once more in backward."""


class Padded(TorchFunctionMode):
    """On the meta device no mask is known to be full, so that none is left out."""

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__bool__ and args[0].is_meta:
            return False
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Paper:
    """Sizes of the paper's summariser and of its classifier.

    Attributes:
        options: Of the network and of the classifier.
        vocabulary: V.
        article: C.
        summary: S.
    """

    options: dict[str, Any]
    vocabulary: int
    article: int
    summary: int

    @property
    def inner(self) -> int:
        """Multiply-adds of all blocks' linear layers, a position."""
        width, inner = self.options["hidden_size"], self.options["intermediate_size"]
        return int(self.options["num_hidden_layers"] * (4 * width**2 + 2 * width * inner))

    @property
    def pairs(self) -> int:
        """Multiply-adds of scores and weighted sums of all positions of an article and summary."""
        length = self.article + self.summary
        return int(2 * self.options["num_hidden_layers"] * self.options["hidden_size"] * length**2)

    @property
    def words(self) -> int:
        """Multiply-adds between a width and all tokens, a position."""
        return int(self.vocabulary * self.options["hidden_size"])

    @property
    def head(self) -> int:
        """Multiply-adds of the output layer, a position."""
        return int(self.words + self.options["hidden_size"] ** 2)

    def least_pass(self) -> int:
        """FLOPs of a forward pass: one article and summary."""
        length = self.article + self.summary
        once = self.inner * length + self.pairs + (self.words + self.head) * self.summary
        return 2 * once

    def least_training(self, probability: float) -> int:
        """The same forward and backward, a pass before it with some probability.

        Shares of tokens need no gradient.
        """
        forward = self.least_pass()
        return int((3 + probability) * forward) - 2 * self.words * self.summary

    def least_steering(self) -> int:
        """FLOPs of a step along the gradient of a classifier that sees `predicted`.

        Logits and mixtures of the article; mixtures of the summary, and the classifier, forward and
        with the gradient of its inputs.
        """
        length = self.article + self.summary
        article = (self.head + self.words) * self.article
        through = self.words * self.summary + self.inner * length + self.pairs
        return 2 * (article + 2 * through + self.pairs)  # each product of attention has two factors


class Counted:
    """The network and a guide of the same sizes, which are counted.

    Args:
        paper: Sizes.
        device: Where; on the meta device nothing is computed.
    """

    def __init__(self, paper: Paper, device: str = "meta"):
        from transformers import RobertaConfig, RobertaForSequenceClassification

        self.paper = paper
        with torch.device(device):
            self.network = FromConfig(paper.vocabulary, paper.options, "roberta").eval()
            config = RobertaConfig(vocab_size=paper.vocabulary, num_labels=3, **paper.options)
            classifier = ClassifierNetwork(RobertaForSequenceClassification(config).eval())
            classifier.requires_grad_(False)
            article, length = (1, paper.article), (1, paper.summary, paper.vocabulary)
            self.article_BC = torch.full(article, 5)
            self.mask_BC = torch.ones(article, dtype=torch.bool)
            self.share_BSV, self.time_B = torch.zeros(length), torch.zeros(1)
            self.asked_B = torch.zeros(1, dtype=torch.int64)
            index_V = torch.arange(paper.vocabulary)
        guides = [Guide("stance", sees=sees) for sees in get_args(Sees)]
        marks = Marks(0, 2, 1)
        self.steering: dict[Sees, Steering] = {
            one.sees: Steering(Control([one]), [OpenGuide(one, classifier, index_V, marks, 0)])
            for one in guides
        }

    @property
    def num_parameters(self) -> int:
        """Trainable parameters of the network."""
        return sum(one.numel() for one in self.network.parameters())

    def loss(self) -> Tensor:
        """Logits of a summary, summed: their cross-entropy has no product."""
        context = self.network.read(self.article_BC, self.mask_BC)
        return self.network(self.share_BSV, self.time_B, context).sum()

    def everywhere(self) -> Tensor:
        """The same with logits at all positions."""
        assert self.network.share_embedding is not None
        summary_BSD = self.share_BSV @ self.network.share_embedding
        x_BLD = F.pad(summary_BSD, (0, 0, self.paper.article, 0))
        logits: Tensor = self.network.model(inputs_embeds=x_BLD).logits
        return logits.sum()

    def training(self, whole: bool = False, probability: float = 0.5) -> float:
        """FLOPs of an article in a training step, a pass before it with some probability."""
        loss = self.everywhere if whole else self.loss
        with Padded():
            return executed_flops(loss) + probability * self.forward(whole)

    def forward(self, whole: bool = False) -> int:
        """FLOPs of a step of generation without control."""
        with counted_flops() as counter, torch.no_grad():
            self.everywhere() if whole else self.loss()
        return counter.get_total_flops()

    def step(self, sees: Sees = "predicted") -> int:
        """FLOPs of a step of generation that is steered by a guide."""
        none = self.article_BC[:, :0]
        how = self.asked_B, None, none, sees == "predicted"
        with counted_flops() as counter, torch.no_grad():
            predict = Predictor(self.network, self.article_BC, self.mask_BC, *how)
            logits_BSV = predict(self.share_BSV, self.time_B).own_BSV
            given = self.asked_B, self.article_BC, self.mask_BC, predict.article_logits
            self.steering[sees].steer(logits_BSV, *given)
        return counter.get_total_flops()


@contextmanager
def counted_flops() -> Iterator[FlopCounterMode]:
    """Counts as `executed_flops` does, also where no gradient is wanted."""
    with Padded(), FusedOnMeta():
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            yield counter


SMALL = Paper(
    {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    40,
    36,
    5,
)


def check_meta() -> None:
    """Refuse to count on the meta device where its counts are not those of real tensors.

    Raises:
        RuntimeError: The counts differ; the message gives both.
    """
    counts = [[one.training(), one.step()] for one in (Counted(SMALL, "cpu"), Counted(SMALL))]
    if counts[0] != counts[1]:
        raise RuntimeError(f"real tensors count {counts[0]}, the meta device {counts[1]}")


def measure(bench: Bench) -> None:
    """Operations of p3sum/paper, counted: a training step, a summary without and with control."""
    check_meta()
    bench.say("the meta device counts as real tensors do")
    given = yaml.safe_load(CONFIG.read_text())
    data, how = given["data"]["init_args"], given["model"]["init_args"]["generation"]
    paper = Paper(ROBERTA_BASE, VOCABULARY, data["article_length"], data["summary_length"])
    counted = Counted(paper)
    articles = data["batch_size"] * given["trainer"]["accumulate_grad_batches"]
    training, forward, step = counted.training(), counted.forward(), counted.step()
    least = paper.least_training(0.5)
    bench.details["counts"] = {
        "parameters": counted.num_parameters,
        "articles_a_step": articles,
        "training_step_tera_flops": articles * training / 1e12,
        "summary_tera_flops": how["num_steps"] * forward / 1e12,
        "steered_summary_tera_flops": how["num_steps"] * step / 1e12,
        "steered_by_summary_alone_tera_flops": how["num_steps"] * counted.step("summary") / 1e12,
        "training_peta_flops": given["trainer"]["max_steps"] * articles * training / 1e15,
    }
    for name, value in bench.details["counts"].items():
        bench.say(f"{name}: {value:,.2f}")
    peer = counted.training(whole=True) / least
    what = "executed / minimum FLOPs, p3sum/paper, training step"
    bench.row(2, what, training / least, GOAL, peer=peer, limit=1.0)
    what = "executed / minimum FLOPs, p3sum/paper, step of generation"
    value, peer = (counted.forward(whole) / paper.least_pass() for whole in (False, True))
    bench.row(2, what, value, GOAL, peer=peer, limit=1.0)
    what = "executed / minimum FLOPs, p3sum/paper, steering of a step by the paper's guide"
    bench.row(2, what, (step - forward) / paper.least_steering(), GOAL, limit=1.0)


if __name__ == "__main__":
    run("p3sum_flops", measure)
