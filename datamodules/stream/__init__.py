"""Endless resumable streams of batches, and the datamodule on them."""
