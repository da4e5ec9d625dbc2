"""How summaries are steered: by classifiers, and by what the network is told."""
