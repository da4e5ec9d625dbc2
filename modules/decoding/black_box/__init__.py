"""Proxy-tuning of a model behind an endpoint."""
