"""Measures that two or more systems share, where torchmetrics has none."""
