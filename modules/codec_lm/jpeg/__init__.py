"""JPEG: codec, grammar, byte kinds."""
