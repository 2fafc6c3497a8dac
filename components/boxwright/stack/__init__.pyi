from . import demo as demo
from . import manager as manager
from . import progress as progress
from .connection import connect as connect
from .outcome import outcome as outcome
from .progress import metrics as metrics
