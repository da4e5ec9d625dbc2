"""The formats in which people keep rows."""
