from .decoding import encoded_image as encoded_image
from .decoding import is_quarter_turned as is_quarter_turned
from .decoding import open_image as open_image
from .decoding import orientation_of as orientation_of
from .decoding import plain_image as plain_image
