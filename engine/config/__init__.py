"""Configurations: read, layered, trusted, and explained where they are wrong."""
