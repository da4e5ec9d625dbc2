"""Random graphs: topologies, weights, and the split that a graph belongs to."""
