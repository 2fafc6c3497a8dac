from .fine_tuning import Watch as Watch
from .fine_tuning import fine_tune as fine_tune
from .history import HISTORY_FILE as HISTORY_FILE
from .history import Record as Record
from .history import TrainingFacts as TrainingFacts
from .history import read_history as read_history
from .input import decode_image as decode_image
