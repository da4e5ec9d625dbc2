"""Data, one family a file."""
