from .build import build_evaluation_examples as build_evaluation_examples
from .build import build_examples as build_examples
