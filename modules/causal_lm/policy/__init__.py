"""Alignment of a language model with rewards for answers of its own."""
