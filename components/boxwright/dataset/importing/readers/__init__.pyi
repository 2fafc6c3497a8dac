from .formats import FORMATS as FORMATS
from .formats import recognise as recognise
from .others import told as told
from .tf_records import is_record_file as is_record_file
