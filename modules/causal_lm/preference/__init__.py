"""Alignment of a language model with pairs of answers."""
