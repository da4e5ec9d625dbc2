"""Gradients of single documents and tokens, for a whole batch at once."""
