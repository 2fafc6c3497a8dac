from . import demo as demo
from . import manager as manager
from . import progress as progress
from .demo import DAG_ID as DAG_ID
from .demo import failure_of as failure_of
from .progress import metrics as metrics
