"""Text: sources, tokens, packed rows."""
