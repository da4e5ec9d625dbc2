"""Files: written whole or not at all, hashed, and read as JSON lines. Imports nothing of ours."""
