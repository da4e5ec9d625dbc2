"""Tensor parallelism: layers divided over ranks."""
