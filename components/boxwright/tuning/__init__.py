"""Tuning: trials of a study, each a training with settings of its own, and the proof that the best of them gain."""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
