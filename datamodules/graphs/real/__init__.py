"""Sets of real questions whose reasoning has the form of a graph; their files are not shipped."""
