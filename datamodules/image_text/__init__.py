"""Documents of text and images."""
