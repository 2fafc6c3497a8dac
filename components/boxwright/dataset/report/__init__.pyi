from . import pictures as pictures
from .data import SplitBoxes as SplitBoxes
from .files import PAGE_FILE as PAGE_FILE
from .offenders import images_to_draw as images_to_draw
from .page import write_early_page as write_early_page
from .page import write_page as write_page
from .pictures import Anchors as Anchors
