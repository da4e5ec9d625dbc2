"""Short stories with facts that can be asked for."""
