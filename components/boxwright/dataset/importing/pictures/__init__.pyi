from .fetching import fetch_images as fetch_images
from .finding import find_images as find_images
from .frames import OtherPictureError as OtherPictureError
from .frames import read_header as read_header
from .frames import settle as settle
from .reencoding import reencoded as reencoded
from .units import take_shares as take_shares
