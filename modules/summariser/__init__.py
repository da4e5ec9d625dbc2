"""Simplex-diffusion summariser steered by classifiers (P^3Sum: Liu et al., 2024)."""
