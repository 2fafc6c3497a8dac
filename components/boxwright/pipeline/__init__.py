"""The training pipeline: nodes, steps, the graph, and what runs it."""
