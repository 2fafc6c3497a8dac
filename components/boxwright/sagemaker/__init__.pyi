from .layout import PREFIX as PREFIX
from .layout import Layout as Layout
from .layout import serving_config as serving_config
from .training import train as train
