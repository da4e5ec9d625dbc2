"""Operations, and what the machine can do."""
