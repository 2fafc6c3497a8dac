from .importing import convert_archive as convert_archive
from .published import PUBLISHED as PUBLISHED
from .published import PublishedModel as PublishedModel
