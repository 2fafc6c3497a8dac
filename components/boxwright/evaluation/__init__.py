"""Measures detectors, shows what they find, and decides whether they are good enough."""
