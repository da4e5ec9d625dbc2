"""How documents are selected."""

from dataclasses import dataclass
from typing import Literal

Score = Literal["cosine", "product"]
"""What documents are ranked by; the product grows with the length of the gradient."""


@dataclass(frozen=True)
class GradientProjection:
    """Random directions that gradients are projected on before they are compared.

    An approximation: on `icl/tiny` the cosines of 64, 256 and 1,024 directions rank as the exact
    ones with a correlation of 0.28, 0.54 and 0.79. They take as many bytes a parameter.

    Attributes:
        num: How many; the error of a cosine is about 1 / sqrt(num).
        seed: Of their signs.

    Raises:
        ValueError: There is none.
    """

    num: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the number."""
        if self.num < 1:
            raise ValueError(f"a projection needs at least 1 direction, got {self.num}.")


@dataclass(frozen=True)
class SelectionOptions:
    """ORCA-ICL (Han et al., 2023, algorithm 1); defaults are the paper's where nothing is said.

    Attributes:
        k: Documents that an iteration selects.
        iterations: Selections; each but the first asks the model trained on those before it.
        score: What documents are ranked by.
        embeddings: Whether tables of tokens and positions, and a tied head, count.
        norms: Whether weights and biases of norms count.
        last_layers: How many layers count, from the end of the stack; all where None.
        projection: Random directions that gradients are compared on, an approximation; exact where
            None. Later iterations then read what the first one kept.
        without_picked: Whether an iteration leaves out what earlier ones selected, which the paper
            does not say; it does not by default.
        learning_rate: Of Adam, constant, in the training between two iterations.
        documents_per_step: Documents that a step of it learns from.
        rows_per_batch: Rows that are scored at once.
        task_rows_per_batch: Questions whose gradient is added up at once.
        are_packed: Whether short documents share a row when they are scored.
        save_every: Batches of scores after which they are written, so that a stopped selection
            goes on from there.

    Raises:
        ValueError: A number is below 1.
    """

    k: int = 400
    iterations: int = 5
    score: Score = "cosine"
    embeddings: bool = True
    norms: bool = True
    last_layers: int | None = None
    projection: GradientProjection | None = None
    without_picked: bool = False
    learning_rate: float = 2e-5
    documents_per_step: int = 16
    rows_per_batch: int = 16
    task_rows_per_batch: int = 16
    are_packed: bool = True
    save_every: int = 50

    def __post_init__(self) -> None:
        """Check the numbers."""
        names = ("k", "iterations", "documents_per_step", "rows_per_batch", "task_rows_per_batch")
        for name in (*names, "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}.")
