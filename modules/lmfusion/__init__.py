"""LMFusion: image experts added to a frozen language model."""
