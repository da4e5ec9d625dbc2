"""Answers in free text, read exactly."""
