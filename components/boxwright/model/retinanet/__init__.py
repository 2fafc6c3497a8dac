"""RetinaNet over EfficientNet-Lite0."""
