"""Names of the files that an evaluation leaves."""

METRICS_FILE = "metrics.json"
ANALYSIS_FILE = "analysis.json"
DETECTIONS_FILE = "detections.json"
CHAMPION_DETECTIONS_FILE = "champion_detections.json"
REPORT_PAGE = "report.html"
GALLERY_FILE = "gallery.json"
GALLERY_FOLDER = "gallery"
PREDICTIONS_PICTURE = "predictions.png"
CURVES_PICTURE = "learning_curves.png"
# Charts of the report by the name that `draw_charts` gives them.
CHART_PICTURES = {
    "learning": CURVES_PICTURE,
    "pr_curves": "pr_curves.png",
    "confusion_matrix": "confusion_matrix.png",
    "calibration": "calibration.png",
    "error_kinds": "error_kinds.png",
}
PICTURES = (PREDICTIONS_PICTURE, *CHART_PICTURES.values())
# What people look at, beside the model.
PUBLISHED = (
    *(METRICS_FILE, ANALYSIS_FILE, DETECTIONS_FILE, CHAMPION_DETECTIONS_FILE),
    *(*PICTURES, GALLERY_FOLDER, GALLERY_FILE, REPORT_PAGE),
)


def gallery_picture(number: int) -> str:
    """Path of a picture of the gallery below the evaluation's folder."""
    return f"{GALLERY_FOLDER}/{number:04d}.jpg"
