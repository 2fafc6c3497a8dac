from .fine_tuning import Watch as Watch
from .fine_tuning import fine_tune as fine_tune
from .history import HISTORY_FILE as HISTORY_FILE
from .history import TRAINING_FILE as TRAINING_FILE
from .history import Record as Record
from .input import decode_image as decode_image
