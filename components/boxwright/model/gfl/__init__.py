"""Generalized focal loss detectors over EfficientNet-Lite0."""
