"""The syntax of an H.264 stream, bit by bit."""
