from .records import Finalist as Finalist
from .records import Outcome as Outcome
from .records import Trial as Trial
from .records import TrialState as TrialState
from .tune import stop_study as stop_study
from .tune import tune as tune
