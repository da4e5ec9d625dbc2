"""Token ids: vocabularies, prompts, ends."""
