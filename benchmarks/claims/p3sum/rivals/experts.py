"""A causal language model with an expert of each stance and an anti-expert (Liu et al., 2024)."""

from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.claims.p3sum.rivals.causal import LR, CausalSummariser
from modules.decoding.branches.branches import proxy_tuned
from modules.summariser.batch import ArticleBatch
from modules.summariser.steering.stance_token import OpenStanceToken

BASE = 0.7
"""Share of the training operations that the base gets; the others share the rest."""
TUNED = LR / 4
"""Learning rate of experts."""
ROWS = ("article_BC", "article_mask_BC", "summary_BS", "summary_mask_BS")
"""What of a batch a causal model is trained on and reads."""


class StanceExperts:
    """Logits of the base, plus those of the wanted stance's expert minus the anti-expert's.

    Experts are the base, tuned on summaries of one stance; the anti-expert is the base, tuned as
    long on summaries of any.

    Args:
        token: Reads the stances of training summaries.
        num: Number of stances.
    """

    def __init__(self, token: OpenStanceToken, num: int):
        self.token, self.num = token, num
        self.models: list[CausalSummariser] = []

    def train(
        self, data: Any, tokenizer: Any, marks: Any, budget: float, num_steps: int | None
    ) -> dict[str, float]:
        """Train the base, then all experts; steps, minutes and operations together.

        Args:
            data: Gives the batches that the summariser is trained on.
            tokenizer: Of the texts.
            marks: Its marks.
            budget: Floating-point operations of all.
            num_steps: Of each, instead of those that fit into the budget.
        """
        base = CausalSummariser(tokenizer, marks)
        spent = [base.train(data, BASE * budget, num_steps)]
        self.models = [base]
        for stance in [*range(self.num), None]:
            one = CausalSummariser(tokenizer, marks)
            one.model.load_state_dict(base.model.state_dict())
            share = (1 - BASE) / (self.num + 1) * budget
            spent.append(one.train(data, share, num_steps, TUNED, partial(self.of, stance)))
            self.models.append(one)
        return {name: sum(one[name] for one in spent) for name in spent[0]} | {
            "loss": spent[0]["loss"]
        }

    def of(self, stance: int | None, batch: ArticleBatch) -> ArticleBatch:
        """The articles whose summaries have a stance; all where None."""
        if stance is None:
            return batch
        return chosen(batch, self.token.of_references(batch) == stance)

    def draw(
        self, batch: ArticleBatch, asked_B: Tensor, seed: int | None, alpha: float
    ) -> tuple[list[str], float]:
        """Summaries in the stances that are asked; and gigaflops a summary.

        Args:
            batch: Articles.
            asked_B: Stance of each.
            seed: As of `CausalSummariser.draw`.
            alpha: Factor on expert minus anti-expert.
        """
        base, *experts, anti = self.models
        texts, total = [""] * len(asked_B), 0.0
        for stance, expert in enumerate(experts):
            rows = (asked_B == stance).nonzero()[:, 0].tolist()
            if not rows:
                continue
            three = base.model, expert.model, anti.model
            branches = proxy_tuned(*three, base.tokenizer, alpha)
            found, cost = base.draw(chosen(batch, asked_B == stance), seed, branches)
            total += cost * len(rows)
            for row, text in zip(rows, found, strict=True):
                texts[row] = text
        return texts, total / len(texts)


def chosen(batch: ArticleBatch, is_chosen_B: Tensor) -> ArticleBatch:
    """What a causal model needs of some articles of a batch, without needless padding."""
    given: Any = batch
    some: Any = {name: given[name][is_chosen_B] for name in ROWS}
    longest = int(some["article_mask_BC"].sum(1).max())
    for name in ROWS[:2]:
        some[name] = some[name][:, :longest]
    part: ArticleBatch = some
    return part
