"""The report of a study: a page and its charts."""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
