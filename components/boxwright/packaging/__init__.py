"""From a trained model to `model.tar.gz`: SavedModel, label map, facts of the run."""
