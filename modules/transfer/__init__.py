"""Train x test matrices: gaps, intervals, tables, heat maps."""
