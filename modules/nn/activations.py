"""Activations of models of transformers: saved, or recomputed in backward."""

from typing import Any


def checkpoint_activations(model: Any) -> None:
    """Recompute blocks in backward; transformers is renaming its method for that."""
    old = "gradient_checkpointing_enable"
    name = "activation_checkpointing_enable"
    getattr(model, name if hasattr(model, name) else old)({"use_reentrant": False})
