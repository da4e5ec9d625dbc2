"""Sharding, decided from outside the network."""
