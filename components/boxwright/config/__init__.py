"""What people decide, where this machine keeps its state, and what is told of a run."""
