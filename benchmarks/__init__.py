"""Measurements that claims rest on; run as `python -m benchmarks.NAME`."""
