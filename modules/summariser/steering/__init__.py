"""How summaries are steered: by classifiers, and by conditions of the network."""
