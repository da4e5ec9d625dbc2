"""Claim 1: a sequence-to-sequence model of the summariser's size and training operations."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from typing_extensions import override

from benchmarks.claims.p3sum.rates import CONFIG, Claims, Drawn, best_of_n, flops_a_step
from benchmarks.claims.p3sum.rivals.causal import TOP_P, CausalSummariser
from benchmarks.claims.training import bare
from engine.measure.flops import FlopCounter
from modules.summariser.batch import ArticleBatch
from modules.summariser.marks import Marks

SIZES = {
    "d_model": 96,
    "d_kv": 24,
    "d_ff": 144,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": 4,
    "feed_forward_proj": "gated-silu",
    "dropout_rate": 0.0,
}
"""Two layers that read and one that writes: the parameters of three causal layers."""
UNCOUNTED = -100


class EncoderDecoder(CausalSummariser):
    """A T5 from scratch that reads an article and writes its summary, trained as the causal one.

    Args:
        tokenizer: Of the texts.
        marks: Its marks.
    """

    def __init__(self, tokenizer: Any, marks: Marks):
        from transformers import T5Config, T5ForConditionalGeneration

        torch.manual_seed(1)
        self.tokenizer, self.marks = tokenizer, marks
        ends = {"decoder_start_token_id": marks.start, "eos_token_id": marks.end}
        config = T5Config(vocab_size=len(tokenizer), pad_token_id=marks.pad, **ends, **SIZES)
        self.model: Any = T5ForConditionalGeneration(config)

    @override
    def hidden(self) -> list[Parameter]:
        named = self.model.named_parameters()
        return [one for name, one in named if "block" in name and "relative" not in name]

    @override
    def loss(self, batch: ArticleBatch) -> Tensor:
        label_BS = batch["summary_BS"].masked_fill(~batch["summary_mask_BS"], UNCOUNTED)
        mask_BC = batch["article_mask_BC"].long()
        loss: Tensor = self.model(batch["article_BC"], attention_mask=mask_BC, labels=label_BS).loss
        return loss

    @torch.no_grad()
    def written(self, batch: ArticleBatch, seed: int | None) -> tuple[list[str], float]:
        """Summaries, greedy without a seed, else by top-p; and gigaflops a summary."""
        torch.manual_seed(0 if seed is None else seed)
        sampled = {"do_sample": True, "top_p": TOP_P, "top_k": 0}
        how = {"do_sample": False} if seed is None else sampled
        mask_BC, length = batch["article_mask_BC"].long(), batch["summary_BS"].shape[1]
        with FlopCounter() as counter:
            out = self.model.generate(
                batch["article_BC"], attention_mask=mask_BC, max_new_tokens=length, **how
            )
        texts = [self.marks.text(self.tokenizer, row) for row in out[:, 1:].tolist()]
        return texts, counter.total / len(texts) / 1e9


def encoder_decoder(claims: Claims) -> None:
    """Greedy, and best of n by the guide; six minutes of a core where it runs alone."""
    built = claims.trained.get("summariser") or untrained(claims)
    steps = claims.scale.num_steps or built.trainer.max_steps
    batch = claims.articles(built)
    drawn = Drawn(built.model, batch, batch["stance_B"])
    model = EncoderDecoder(built.model.tokenizer, built.model.marks)
    num = sum(one.numel() for one in model.model.parameters())
    claims.bench.say(f"training an encoder-decoder of {num:,} parameters")
    budget = steps * flops_a_step(built)
    spent = model.train(built.datamodule, budget, 2 if claims.bench.quick else None)
    claims.bench.details["training"]["encoder-decoder"] = spent | {"parameters": num}
    texts, cost = model.written(batch, None)
    greedy = claims.note("encoder-decoder, greedy", drawn.read(texts) | {"gigaflops": cost})
    name = "encoder-decoder, best of"
    found = best_of_n(claims, name, drawn, lambda seed: model.written(batch, seed))
    best = max(found, key=lambda one: one["both"])
    what = "exact and stance kept, sequence-to-sequence model, best of n (others: greedy)"
    claims.bench.row(1, what, best["both"], 0.80, peer=greedy["both"], at_least=True)


def untrained(claims: Claims) -> Any:
    """What tiny.yaml describes, before its first step: its articles, its guide, its operations."""
    built = bare(CONFIG, claims.scale.num_steps)
    built.model.trainer = built.trainer
    built.model.configure_model()
    built.datamodule.setup("fit")
    return built
