"""Optimizer steps: whole ones and finite ones."""
