"""ORCA-ICL (Han et al., 2023, algorithm 1): documents whose gradients support a task, by turns.

    S_i = argtop-k over w of cos(grad L_PT(w; theta_0), grad sum L_ICL(task; theta_(i-1)))
    theta_i = Adam over S_1 u ... u S_i, once, from theta_0

Gradients of documents are always those of theta_0, so their norms are computed once.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.disk.whole import whole
from modules.base.rank_share import RankShare
from modules.causal_lm.network import LanguageModel
from modules.causal_lm.system import parts
from modules.icl.gradients.parameters import chosen_parameters
from modules.icl.gradients.similarity import loss_gradient
from modules.icl.label_rows import label_rows
from modules.icl.selection.options import SelectionOptions
from modules.icl.selection.page import write_page
from modules.icl.selection.pool import Asked, CandidatePool
from modules.icl.selection.projection import ProjectedGradients, Signs, along, flat
from modules.icl.selection.scoring import Columns, GradientScores, PoolPass, write_table
from modules.icl.selection.token_parts import TokenParts, token_parts
from modules.icl.selection.training import restore, train_on, trained
from modules.weights.fingerprint import fingerprint

IDENTITY = "selection.json"
"""What a selection was begun with, in its folder."""
SHOWN = 20
"""Documents of the highest scores that a page shows token by token, and of the lowest."""


@dataclass
class Found:
    """What iterations found.

    Attributes:
        columns: Scores of all documents, by index.
        picked: Indices that each iteration selected, the best first.
        shown: Of each iteration, documents by their tokens: those of the highest scores, the best
            first, then as many of the lowest, the worst last.
        are_exact: Whether scores are of whole gradients, not of projected ones.
    """

    columns: Columns = field(default_factory=dict)
    picked: list[list[int]] = field(default_factory=list)
    shown: list[list[TokenParts]] = field(default_factory=list)
    are_exact: bool = True

    @property
    def union(self) -> list[int]:
        """All selected documents, each once, in the order of their selection."""
        return list(dict.fromkeys(one for picked in self.picked for one in picked))


class Orca:
    """Selects documents.

    Args:
        language_model: The model that training starts from, theta_0, in evaluation mode; it has
            the same weights afterwards.
        tokenizer: Its tokenizer.
        pool: The documents.
        target: The task.
        options: How to select.
        share: The part of the pool that this rank scores.
        wait: Returns when all ranks have called it.

    Raises:
        ValueError: The pool has fewer documents than are to be selected.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        tokenizer: Any,
        pool: CandidatePool,
        target: Sequence[Asked],
        options: SelectionOptions,
        share: RankShare = RankShare(),  # noqa: B008 - frozen
        wait: Callable[[], object] = lambda: None,
    ):
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.pool = pool
        self.target = target
        self.options = options
        self.share = share
        self.wait = wait
        num = options.k * (options.iterations if options.without_picked else 1)
        if num > len(pool.ids):
            raise ValueError(
                f"{num:,} documents are to be selected from {len(pool.ids):,}; lower k."
            )
        self.names = chosen_parameters(
            language_model, options.embeddings, options.norms, options.last_layers
        )

    def select(self, folder: Path) -> Iterator[Found]:
        """Run all iterations; what is found so far after each.

        Args:
            folder: Gets the scores of each batch as they come, so that a stopped selection goes on.

        Raises:
            ValueError: The folder holds a selection that was begun otherwise, the task's gradient
                is zero or not finite, or fewer documents than `k` have a gradient.
        """
        self._begin(folder)
        theta_0 = trained(self.language_model)
        found = Found(are_exact=self.options.projection is None)
        for number in range(1, self.options.iterations + 1):
            if found.picked:
                train_on(self.language_model, self.pool, found.union, self.options)
            direction = self._direction()
            restore(self.language_model, theta_0)
            if self.options.projection is None:
                own, size = folder / f"iteration_{number}", length(direction)
                columns = self._scores(direction, own, not found.columns)
            else:
                columns, size = self._projected(direction, folder / "projected")
            scores = self._rank(found, columns, number, size)
            found.shown.append(self._shown(scores, direction))
            del direction  # as large as the weights; training needs the memory
            yield found

    def _begin(self, folder: Path) -> None:
        identity = {
            "pool": self.pool.fingerprint,
            "weights": fingerprint(self.language_model.named_parameters()),
            "target": self._target_digest(),
            **asdict(self.options),
        }
        path = folder / IDENTITY
        if path.exists():
            refuse_other(json.loads(path.read_text()), identity, path)
        self.wait()  # all have looked before one writes
        if not path.exists() and self.share.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            with whole(path) as draft:
                draft.write_text(json.dumps(identity, indent=1))
        self.wait()

    def _target_digest(self) -> str:
        asked = [[one.fields["prompt"], list(one.choices), one.answer] for one in self.target]
        return sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def _direction(self) -> dict[str, Tensor]:
        """Gradient of the task's in-context loss, the same on all ranks: tasks are small."""
        size = self.options.task_rows_per_batch
        batches = [self.target[i : i + size] for i in range(0, len(self.target), size)]
        losses = [lambda asked=asked: self._task_loss(asked) for asked in batches]
        direction = loss_gradient(self.language_model, self.names, losses)
        if not (math.isfinite(norm := length(direction)) and norm > 0):
            raise ValueError(f"the gradient of the task has length {norm}; nothing points anywhere")
        return direction

    def _task_loss(self, asked: Sequence[Asked]) -> Tensor:
        prompts = [one.fields["prompt"] for one in asked]
        words = [one.choices[one.answer] for one in asked]
        device = self.language_model.model.device
        rows = label_rows(self.tokenizer, prompts, words, device)
        return self.language_model.loss(*parts(rows))

    def _pass(self) -> PoolPass:
        rows = self.pool.rows(range(len(self.pool.ids)), self.options.are_packed)
        options = self.options
        return PoolPass(self.pool, rows, options.rows_per_batch, options.save_every, self.share)

    def _scores(self, direction: dict[str, Tensor], folder: Path, with_norms: bool) -> Columns:
        scores, work = GradientScores(self.language_model, direction, with_norms), self._pass()
        work.run(scores, folder, f"scoring {len(self.pool.ids):,} documents", self.wait)
        return work.read(folder)

    def _projected(self, direction: dict[str, Tensor], folder: Path) -> tuple[Columns, float]:
        """Scores of projected gradients, and the length of the projected direction."""
        assert self.options.projection is not None
        wanted_P, work = flat(direction), self._pass()
        signs = Signs.of(self.options.projection, len(wanted_P), wanted_P.device)
        gradients = ProjectedGradients(self.language_model, self.pool, self.names, signs)
        work.run(gradients, folder, f"projecting {len(self.pool.ids):,} documents", self.wait)
        wanted_Q = signs.project([wanted_P])[0]
        return work.read(folder, partial(along, wanted_Q=wanted_Q)), float(wanted_Q.norm())

    def _shown(self, scores: Sequence[float], direction: dict[str, Tensor]) -> list[TokenParts]:
        """Tokens of the documents at both ends."""
        able = sum(math.isfinite(one) for one in scores)
        ranked = top(scores, self.pool.ids, able, set())
        num = min(SHOWN, able // 2)
        chosen = [*ranked[:num], *ranked[able - num :]]
        reader, rows = (self.language_model, self.tokenizer), self.options.rows_per_batch
        return token_parts(*reader, self.pool, direction, chosen, rows)

    def _rank(self, found: Found, columns: Columns, number: int, norm: float) -> list[float]:
        product = columns.pop("product")
        found.columns |= columns
        pairs = zip(product, found.columns["norm"], strict=True)
        cosine = [p / (n * norm) if n > 0 else math.nan for p, n in pairs]
        found.columns |= {f"product_{number}": product, f"cosine_{number}": cosine}
        scores = cosine if self.options.score == "cosine" else product
        taken = set(found.union) if self.options.without_picked else set[int]()
        found.picked.append(top(scores, self.pool.ids, self.options.k, taken))
        return scores


def top(scores: Sequence[float], ids: Sequence[str], k: int, taken: set[int]) -> list[int]:
    """Indices of the k highest scores, the best first; ties go by id.

    Args:
        scores: Of all documents; those that are not finite are never among them.
        ids: Of all documents.
        k: How many.
        taken: Indices that are left out.

    Raises:
        ValueError: There are fewer.
    """
    able = [n for n, one in enumerate(scores) if math.isfinite(one) and n not in taken]
    if len(able) < k:
        raise ValueError(
            f"{k:,} documents are to be selected, but only {len(able):,} of {len(scores):,} have a "
            "score: those of one token or with a zero gradient have none."
        )
    return sorted(able, key=lambda n: (-scores[n], ids[n]))[:k]


def length(direction: dict[str, Tensor]) -> float:
    """Length of a direction."""
    return math.sqrt(sum(float(one.double().square().sum()) for one in direction.values()))


def refuse_other(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """Refuse to go on with a selection that was begun otherwise.

    Raises:
        ValueError: Something differs; names it.
    """
    names = {"pool": "the documents of the pool", "weights": "the weights", "target": "the task"}
    differing = [names.get(key, key) for key in now if before.get(key) != now[key]]
    if differing:
        raise ValueError(
            f"{path} is of a selection with other values of: {', '.join(differing)}. Give another "
            "folder, or remove it."
        )


def write_results(found: Found, pool: CandidatePool, folder: Path) -> Path:
    """Write `scores.parquet`, of all documents, `selected.parquet`, and `documents.html`.

    Returns:
        The second, an ordinary source of text: its columns are `id`, `source`, `iteration`, `score`
        and `text`, in the order of their selection.
    """
    iteration = dict[int, int]()
    for number, picked in enumerate(found.picked, 1):
        for one in picked:
            iteration.setdefault(one, number)
    known: Columns = {"id": list(pool.ids), "source": list(pool.sources)}
    known["iteration"] = [iteration.get(n) for n in range(len(pool.ids))]
    own = {name: values for name, values in found.columns.items() if name != "document"}
    write_table(known | own, folder / "scores.parquet")
    chosen = found.union
    selected: Columns = {name: [values[n] for n in chosen] for name, values in known.items()}
    selected["score"] = [own[f"cosine_{iteration[n]}"][n] for n in chosen]
    selected["text"] = [pool.text(n) for n in chosen]
    path = folder / "selected.parquet"
    write_table(selected, path)
    write_page(own, found.shown, pool, folder / "documents.html", found.are_exact)
    return path
