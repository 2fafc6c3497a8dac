"""Rules that a dataset has to keep, and what was found to break them."""
