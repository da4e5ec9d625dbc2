"""Layers and tensor code that two or more systems share."""
