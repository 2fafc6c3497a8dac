"""Names of the files that an evaluation leaves."""

METRICS_FILE = "metrics.json"
DETECTIONS_FILE = "detections.json"
PREDICTIONS_PICTURE = "predictions.png"
CURVES_PICTURE = "learning_curves.png"
