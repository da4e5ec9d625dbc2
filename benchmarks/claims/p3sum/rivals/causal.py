"""A causal language model of the summariser's size: article, end, summary, end."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from engine.measure.flops import FlopCounter
from engine.optim.muon import MuonAdamW
from engine.optim.schedules import WarmupStableDecay
from modules.base.optimizers import decayed_or_not
from modules.decoding.branches.branches import Branches
from modules.decoding.branches.generate import CombinedDecoding
from modules.summariser.batch import ArticleBatch
from modules.summariser.marks import Marks

SIZES = {
    "hidden_size": 96,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
LR, RATIO, WARMUP = 0.02, 0.15, 30
TOP_P = 0.95


class CausalSummariser:
    """A Llama from scratch that continues an article with its summary.

    Args:
        tokenizer: Of the texts.
        marks: Its marks.
    """

    def __init__(self, tokenizer: Any, marks: Marks):
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(1)
        self.tokenizer, self.marks = tokenizer, marks
        ends = {"bos_token_id": marks.start, "eos_token_id": marks.end, "pad_token_id": marks.pad}
        self.model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **ends, **SIZES))

    def train(
        self,
        data: Any,
        budget: float,
        num_steps: int | None,
        lr: float = LR,
        chosen: Callable[[ArticleBatch], ArticleBatch] = lambda batch: batch,
    ) -> dict[str, float]:
        """Train until as many operations are spent; steps, minutes and operations.

        Args:
            data: Gives the batches that the summariser is trained on.
            budget: Floating-point operations.
            num_steps: Steps instead of those that fit into the budget.
            lr: Learning rate.
            chosen: Part of each batch that is trained on.
        """
        batches = map(chosen, endless(data))
        start = monotonic()
        with FlopCounter() as counter:
            self.loss(next(batches)).backward()
        self.model.zero_grad()
        steps = num_steps or max(1, round(budget / counter.total))
        groups = decayed_or_not(list(self.model.parameters()), self.hidden())
        optimizer = MuonAdamW(groups, lr=lr, adamw_ratio=RATIO, weight_decay=0.0)
        schedule = WarmupStableDecay(optimizer, steps, WARMUP)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.loss(next(batches))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        self.model.eval()
        spent = steps * counter.total / 1e12
        minutes = (monotonic() - start) / 60
        return {"steps": steps, "minutes": minutes, "tera_flops": spent, "loss": loss.item()}

    def hidden(self) -> list[Parameter]:
        """Weights within the layers."""
        return list(self.model.model.layers.parameters())

    def loss(self, batch: ArticleBatch) -> Tensor:
        """Mean cross-entropy of the summaries' tokens and ends."""
        token_BL = torch.cat([batch["article_BC"], batch["summary_BS"]], 1)
        mask_BL = torch.cat([batch["article_mask_BC"], batch["summary_mask_BS"]], 1)
        position_BL = (mask_BL.cumsum(1) - 1).clamp(min=0)
        out = self.model(token_BL, attention_mask=mask_BL.long(), position_ids=position_BL)
        length = batch["summary_BS"].shape[1]
        # the first token of a summary follows the end of its article, which padding may come after
        last_B1 = batch["article_mask_BC"].sum(1, keepdim=True) - 1
        first = out.logits.gather(1, last_B1[..., None].expand(-1, -1, out.logits.shape[-1]))
        logits = torch.cat([first, out.logits[:, -length:-1]], 1)
        nats = F.cross_entropy(
            logits.flatten(0, 1), batch["summary_BS"].flatten(), reduction="none"
        )
        counts = batch["summary_mask_BS"].flatten()
        return (nats * counts).sum() / counts.sum()

    @torch.no_grad()
    def draw(
        self, batch: ArticleBatch, seed: int | None, branches: Branches | None = None
    ) -> tuple[list[str], float]:
        """Summaries, greedy without a seed, else by top-p; and gigaflops a summary.

        Args:
            batch: Articles.
            seed: Of all of them.
            branches: Models whose logits are summed, this one first; this one alone without.
        """
        torch.manual_seed(0 if seed is None else seed)
        sampled = {"do_sample": True, "top_p": TOP_P, "top_k": 0}
        how: dict[str, Any] = {"do_sample": False} if seed is None else sampled
        token_BC, mask_BC = left(batch["article_BC"], batch["article_mask_BC"])
        length = batch["summary_BS"].shape[1]
        if branches is not None:
            rows = [row[own].tolist() for row, own in zip(token_BC, mask_BC, strict=True)]
            prompts = [rows] * len(branches.branches)
            how |= {"custom_generate": CombinedDecoding(branches, prompts, mask_BL=mask_BC)}
        with FlopCounter() as counter:
            out = self.model.generate(
                token_BC, attention_mask=mask_BC.long(), max_new_tokens=length, **how
            )
        made = out[:, token_BC.shape[1] :].tolist()
        texts = [self.marks.text(self.tokenizer, row) for row in made]
        return texts, counter.total / len(texts) / 1e9


def left(token_BC: Tensor, mask_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Rows padded on the left instead."""
    place_BC = mask_BC.long().argsort(dim=1, stable=True)  # padding first
    return token_BC.gather(1, place_BC), mask_BC.gather(1, place_BC)


def endless(data: Any) -> Any:
    """Training batches, one after the other."""
    while True:
        yield from data.train_dataloader()
