"""Checkpoints that are folders of shards: written by all ranks, read by any number of them."""
