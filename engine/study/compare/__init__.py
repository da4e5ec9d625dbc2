"""Runs side by side: the settings that differ, what they logged, and their curves."""
