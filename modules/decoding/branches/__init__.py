"""Branches {model, prompt, weight}, read and combined step by step."""
