"""Short political news with known facts and a known stance."""
