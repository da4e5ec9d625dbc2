"""Proxy-tuning of a black-box model at an endpoint."""
