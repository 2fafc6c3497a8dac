"""Architectures, their weights, and the seeds that training starts from."""
