"""How large a YAML file becomes once its aliases are written out."""

from pathlib import Path

import yaml

MOST = 100_000
"""Nodes of a config, at most."""


def too_many_aliases(path: Path) -> str | None:
    """Why a file is not read: its aliases make it too large, or lead back to themselves."""
    try:
        text = path.read_text()
        root = yaml.compose(text, yaml.SafeLoader) if "*" in text and "&" in text else None
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None  # the parser says what is wrong
    if root is None:
        return None
    size = written_out(root, {}, set())
    if size is None:
        return f"{path}: an alias leads back to itself"
    return f"{path}: its aliases stand for {size} values, more than {MOST}" if size > MOST else None


def written_out(node: yaml.Node, known: dict[int, int], above: set[int]) -> int | None:
    """Nodes of a tree in which every alias is a copy; None where one holds itself."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        return None
    size = 1
    for child in children(node):
        part = written_out(child, known, above | {id(node)})
        if part is None:
            return None
        size += part
    known[id(node)] = size
    return size


def children(node: yaml.Node) -> list[yaml.Node]:
    """What a node holds."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
