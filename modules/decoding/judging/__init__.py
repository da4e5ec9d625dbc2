"""Judges that compare two answers."""
