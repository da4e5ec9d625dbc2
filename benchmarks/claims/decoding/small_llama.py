"""A small Llama from scratch, trained by Muon on synthetic texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, process_time
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.claims.decoding.word_tokens import Spelled, batch
from engine.optim.muon import MuonAdamW
from engine.optim.schedules import WarmupCosine
from modules.base.optimizers import decayed_or_not
from modules.decoding.decoder import Decoder
from modules.prompting.question import Question

WARMUP = 50
CLIP = 1.0
BATCH = 64
"""Questions per batch."""
REPORTED = 100
"""Steps between two progress reports."""


@dataclass(frozen=True)
class Recipe:
    """Architecture and training of the model.

    Attributes:
        width: Of the residual stream.
        num_layers: Transformer blocks.
        num_heads: Of attention.
        context: Longest text in tokens.
        num_steps: Optimizer steps.
        batch_size: Texts per step.
        lr: Peak learning rate of Muon; AdamW takes a tenth of it for embeddings.
        weight_decay: Of matrices.
    """

    width: int
    num_layers: int
    num_heads: int
    context: int
    num_steps: int
    batch_size: int
    lr: float = 0.02
    weight_decay: float = 0.01


@dataclass(frozen=True)
class TrainedLlama:
    """A trained model and its cost.

    Attributes:
        model: Of transformers.
        recipe: How it was trained.
        minutes: Wall-clock time of training.
        processor_minutes: Time of all cores together.
        loss: Of the last steps, in nats per predicted token.
    """

    model: Any
    recipe: Recipe
    minutes: float
    processor_minutes: float
    loss: float

    def details(self) -> dict[str, Any]:
        """Architecture and cost, for a result."""
        return {
            "recipe": vars(self.recipe),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "minutes": self.minutes,
            "processor minutes": self.processor_minutes,
            "nats an asked token": self.loss,
        }


def written(decoder: Decoder, questions: Sequence[Question], **how: Any) -> list[str]:
    """Answers of greedy decoding, in batches."""
    found: list[str] = []
    for at in range(0, len(questions), BATCH):
        asked = questions[at : at + BATCH]
        found += [one.text for one in decoder.generate(asked, do_sample=False, **how)]
    return found


def build(recipe: Recipe, vocab_size: int, seed: int = 0) -> Any:
    """A Llama with random weights, reproducible by the seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=recipe.width,
        intermediate_size=8 * recipe.width // 3,
        num_hidden_layers=recipe.num_layers,
        num_attention_heads=recipe.num_heads,
        num_key_value_heads=recipe.num_heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def train(
    recipe: Recipe,
    vocab_size: int,
    text: Callable[[int], Spelled],
    say: Callable[[str], None],
    seed: int = 0,
) -> TrainedLlama:
    """Train on texts by index, each seen once.

    Args:
        recipe: Architecture and training.
        vocab_size: Number of token ids.
        text: Makes the text of an index.
        say: Receives progress reports.
        seed: Of the weights.
    """
    start, processor = monotonic(), process_time()
    model = build(recipe, vocab_size, seed).train()
    optimizer = MuonAdamW(
        decayed_or_not([*model.parameters()], model.model.layers.parameters()),
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
    )
    scheduler = WarmupCosine(optimizer, recipe.num_steps, WARMUP)
    losses: list[float] = []
    for step in range(recipe.num_steps):
        first = step * recipe.batch_size
        losses.append(learn(model, [text(first + b) for b in range(recipe.batch_size)]))
        optimizer.step()
        scheduler.step()
        if (step + 1) % REPORTED == 0 or step + 1 == recipe.num_steps:
            say(f"step {step + 1}/{recipe.num_steps}: {mean(losses):.3f} nats an asked token")
    model.requires_grad_(False).eval()
    minutes, worked = (monotonic() - start) / 60, (process_time() - processor) / 60
    return TrainedLlama(model, recipe, minutes, worked, mean(losses))


def learn(model: Any, texts: list[Spelled]) -> float:
    """Backward pass of the mean loss over predicted tokens, with clipping; returns the loss."""
    token_BL, label_BL = batch(texts)
    model.zero_grad()
    logits = model(input_ids=token_BL, use_cache=False).logits[:, :-1]
    loss = cross_entropy(logits.flatten(0, 1), label_BL[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    return float(loss.detach())


def mean(losses: list[float]) -> float:
    """Mean of the last losses."""
    last = losses[-REPORTED:]
    return sum(last) / len(last)
