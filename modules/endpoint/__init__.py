"""Models served by an HTTP endpoint."""
