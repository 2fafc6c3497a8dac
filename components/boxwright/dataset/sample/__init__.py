"""A made-up dataset, for a first run and for tests."""
