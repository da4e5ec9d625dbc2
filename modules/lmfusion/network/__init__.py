"""The network: blocks with a text path and an image path."""
