"""Scores of the documents of a pool, by gradients, by their words, and by what costs nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor

from benchmarks.claims.icl.ekfac_scores import by_ekfac
from benchmarks.claims.icl.planted import OPTIONS, PLANTED
from benchmarks.claims.icl.text_scores import by_importance, by_words
from benchmarks.claims.icl.world import LEARNING_RATE, PER_STEP, PlantedPool, selection
from datamodules.in_context.pool import DocumentPool
from datamodules.questions.source import Question
from modules.causal_lm.loss import IGNORE
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import parts
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import loss_gradient
from modules.icl.label_rows import label_rows
from modules.icl.selection.projection import flat
from modules.icl.selection.scoring import token_losses
from modules.icl.selection.training import restore, trained

WARM_UP = 100
"""Documents that Adam's averages are of, none of them a candidate."""
Gradient = dict[str, Tensor]


def candidate_scores(
    model: LanguageModel, tokenizer: Any, pool: PlantedPool, task: Sequence[Question], seed: int
) -> dict[str, list[float]]:
    """The scores of all documents, by the name of the method.

    Args:
        model: theta_0.
        tokenizer: Its tokenizer.
        pool: The documents.
        task: The task that they are to support.
        seed: Of what is drawn.
    """
    documents = pool.documents
    options = replace(OPTIONS, k=1)
    _, plain = selection(model, tokenizer, documents, task, options)
    _, whole = selection(model, tokenizer, documents, task, replace(options, embeddings=True))
    texts = [documents.text(n) for n in range(len(documents.ids))]
    prompts = [one.fields["prompt"] for one in task]
    answered = [one.fields["prompt"] + one.choices[one.answer] for one in task]
    rng = Random(seed)
    return {
        "cosine": plain["cosine_1"],
        "cosine, all parameters": whole["cosine_1"],
        "dot product": plain["product_1"],
        "LESS": adam_cosines(model, tokenizer, documents, task, seed),
        "BM25": by_words(texts, prompts),
        "DSIR": by_importance(texts, answered),
        "document loss": plain["loss"],
        "gradient norm": plain["norm"],
        "length": [float(len(text)) for text in texts],
        "random": [rng.random() for _ in texts],
        "planted": [float(kind == "mapping") + 1e-3 * rng.random() for kind in pool.kinds],
        **by_ekfac(model, tokenizer, documents, task, seed),
    }


def adam_cosines(
    model: LanguageModel,
    tokenizer: Any,
    documents: DocumentPool,
    task: Sequence[Question],
    seed: int,
) -> list[float]:
    """Cosine of the task's gradient and the step that Adam would take on a document (LESS).

    Adam's averages are those after a short training on other documents, and so are the gradients
    (Xia et al., 2024, sec. 3.1 and 4.1, one checkpoint, no projection). Embeddings do not count.
    """
    start = trained(model)
    adam = warmed_up(model, seed)
    names = chosen_parameters(model, embeddings=False)
    direction = loss_gradient(model, names, [lambda: task_loss(model, tokenizer, task)])
    wanted = flat(direction)
    states = {name: adam.state[p] for name, p in model.named_parameters() if name in direction}
    scores = []
    for gradient in gradients(model, names, documents):
        step = flat({name: adam_step(one, states[name]) for name, one in gradient.items()})
        scores.append(float(torch.cosine_similarity(step, wanted, dim=0)))
    restore(model, start)
    return scores


def warmed_up(model: LanguageModel, seed: int) -> torch.optim.Adam:
    """Adam after training on documents of another pool; the model is changed."""
    pool = PlantedPool.of(WARM_UP, 1000 + seed, mapping=PLANTED, easy=0.01, hard=PLANTED)
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for start in range(0, WARM_UP, PER_STEP):
        adam.zero_grad()
        document_loss(model, pool.documents, range(start, start + PER_STEP)).backward()
        adam.step()
    adam.zero_grad()
    return adam


def document_loss(model: LanguageModel, pool: DocumentPool, chosen: Iterable[int]) -> Tensor:
    """Mean loss a token of some documents."""
    batch: Any = pool.batch([[one] for one in chosen])
    return token_losses(model, batch).sum() / (batch["label_BL"] != IGNORE).sum()


def task_loss(model: LanguageModel, tokenizer: Any, task: Sequence[Question]) -> Tensor:
    """In-context loss of a task, with gradients."""
    words = [one.choices[one.answer] for one in task]
    rows = label_rows(tokenizer, [one.fields["prompt"] for one in task], words)
    return model.loss(*parts(rows))


def gradients(model: LanguageModel, names: Sequence[str], pool: DocumentPool) -> Iterator[Gradient]:
    """The gradient of the loss of each document, one after another."""
    for one in range(len(pool.ids)):
        yield loss_gradient(model, names, [partial(document_loss, model, pool, [one])])


def adam_step(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
    """What Adam would change a parameter by, in units of the learning rate."""
    first, second, eps = 0.9, 0.999, 1e-8
    num = float(state["step"]) + 1
    mean = (first * state["exp_avg"] + (1 - first) * gradient) / (1 - first**num)
    square = (second * state["exp_avg_sq"] + (1 - second) * gradient**2) / (1 - second**num)
    return mean / (square.sqrt() + eps)
