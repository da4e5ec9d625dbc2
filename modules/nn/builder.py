"""How a system receives its network: as something that builds it."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Network = TypeVar("Network")

Builder = Callable[Given, Network]
"""Builds a network once the strategy is ready for it, so that large ones are built sharded.

YAML gives the class and its options. The system passes what only it knows, by position:
`Builder[[int], LanguageModel]` builds a language model from the size of the tokenizer.
"""
