"""Images and clips as the bytes of a codec."""
