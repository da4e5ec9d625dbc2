"""Files behind URLs, through fsspec: listed, described, read by ranges and kept for a while."""
