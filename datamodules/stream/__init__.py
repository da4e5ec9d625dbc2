"""Endless, resumable streams of batches and the datamodule on top of them."""
