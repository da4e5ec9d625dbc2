"""Context parallelism: rows divided over ranks."""
