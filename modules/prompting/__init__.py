"""Prompts: formats, templates, demonstrations, retrieval."""
