"""Hugging Face architectures: options, attention, memory layout."""
