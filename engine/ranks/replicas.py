"""Ranks that read rows of their own; several ranks may share rows, under tensor parallelism."""

from typing import Any


def replica(trainer: Any) -> tuple[int, int]:
    """Which rows this rank reads, and how many ranks read others: as samplers are told."""
    place = trainer.distributed_sampler_kwargs
    return (int(place["rank"]), int(place["num_replicas"])) if place else (0, 1)
