from .download import DatasetSummary as DatasetSummary
from .download import check_part as check_part
from .download import download_dataset as download_dataset
from .image_check import check_images as check_images
from .manifest import IMAGES as IMAGES
from .manifest import MANIFEST_FILE as MANIFEST_FILE
from .manifest import DatasetImages as DatasetImages
from .manifest import read_images as read_images
