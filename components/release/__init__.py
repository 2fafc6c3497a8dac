"""From a trained model to a registered version: label map, archive, registry."""
