from .conversion import Converted as Converted
from .conversion import ConvertOptions as ConvertOptions
from .conversion import OnInvalid as OnInvalid
from .conversion import convert_dataset as convert_dataset
from .formats import FORMATS as FORMATS
from .records import Frame as Frame
