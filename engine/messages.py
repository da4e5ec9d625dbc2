"""Parser errors as one plain line."""

from lightning.pytorch.cli import LightningArgumentParser


class PlainParser(LightningArgumentParser):
    """A parser whose errors are one line: file, key, the nearest right key."""
