from .build import build_evaluation_examples as build_evaluation_examples
from .build import build_examples as build_examples
from .reading import COMPLETE_FILE as COMPLETE_FILE
from .reading import SHARDS as SHARDS
from .reading import leave_shards as leave_shards
from .reading import shards_of as shards_of
from .reading import size_of_shards as size_of_shards
from .summary import ExamplesSummary as ExamplesSummary
