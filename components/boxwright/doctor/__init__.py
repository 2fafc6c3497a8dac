"""Checks of what a worker, a scheduler or a server needs, made on the machine where it is to run."""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
