"""Searches for the best options of a run: a space, trials, and what they came to."""
