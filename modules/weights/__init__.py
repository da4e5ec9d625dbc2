"""Weights: where they come from, whether two sets are the same, which ranks hold them."""
