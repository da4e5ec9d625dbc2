"""Syntax of an H.264 stream, at the level of bits."""
