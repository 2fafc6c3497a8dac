from .detector import ExportedDetector as ExportedDetector
from .export import export_model as export_model
from .facts import FALLBACK_THRESHOLD as FALLBACK_THRESHOLD
from .formats import FORMATS as FORMATS
from .formats import format_named as format_named
from .kept import kept_export as kept_export
from .pixels import read_image as read_image
