"""Whether an architecture reads packed rows exactly, tried on a small copy of it."""
