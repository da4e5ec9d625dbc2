"""Graph problems in the formats of other evaluations."""
