"""What sets the documents that support in-context learning apart from others."""
