"""Rows of files of any kind, and what becomes of bad ones."""
