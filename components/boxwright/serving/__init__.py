"""Uses a trained detector: on files, on a bucket's prefix, and behind HTTP with the managed algorithm's contract."""
