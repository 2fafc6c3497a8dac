"""ML Metadata: its store in SQLite or PostgreSQL, its types, and leases: one process at a time does a step."""

import lazy_loader

# The names that other folders may take stand in `__init__.pyi`; a module is loaded when one of its names is.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
