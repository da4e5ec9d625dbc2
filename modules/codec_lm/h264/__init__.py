"""H.264: codec, grammar, byte kinds."""
