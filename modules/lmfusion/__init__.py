"""LMFusion: image experts beside a frozen language model."""
