"""Checkpoints on disk: written whole, verified, described."""
