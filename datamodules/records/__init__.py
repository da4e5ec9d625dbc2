"""Rows of files in any supported format, and the handling of bad ones."""
