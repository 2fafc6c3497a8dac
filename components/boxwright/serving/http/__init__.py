"""The HTTP server, with the managed algorithm's routes."""
