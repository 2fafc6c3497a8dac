from .contact_sheet import draw_predictions as draw_predictions
from .galleries import draw_pairs as draw_pairs
from .galleries import sample_images as sample_images
from .galleries import worst_images as worst_images
from .gallery_files import write_gallery as write_gallery
from .page import Background as Background
from .page import write_report as write_report
