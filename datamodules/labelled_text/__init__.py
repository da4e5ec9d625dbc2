"""Texts with labels: sources, splits, attacks, windows."""
