"""Decoding-time methods: context-aware decoding, proxy-tuning, in-context alignment."""
