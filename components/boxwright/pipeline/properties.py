"""The kinds of properties by which artifacts record what lineage reads."""

from __future__ import annotations

from tfx.types.artifact import Property, PropertyType

TEXT = Property(type=PropertyType.STRING)
WHOLE = Property(type=PropertyType.INT)
REAL = Property(type=PropertyType.FLOAT)
