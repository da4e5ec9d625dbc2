"""Captioned scenes of coloured shapes."""
