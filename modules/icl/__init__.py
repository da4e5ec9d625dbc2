"""Pretraining data that support in-context learning (Han et al., 2023)."""
