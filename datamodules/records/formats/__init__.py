"""Readers of rows, one module per file format."""
