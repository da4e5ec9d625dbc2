"""Combinations that cannot work, refused before anything is built."""

from jsonargparse import Namespace


def refuse_impossible(subcommand: str, config: Namespace) -> None:
    """Refuse."""
