"""PostgreSQL's client psycopg2, loaded so that it can be in one process with TensorFlow."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from psycopg2 import extensions

    Connection = extensions.connection


def load_psycopg2() -> ModuleType:
    """The module psycopg2, to connect with directly, or before SQLAlchemy does.

    TensorFlow lends its TLS library, BoringSSL, to all libraries that are loaded after it. psycopg2 would take it for
    its own, OpenSSL, and the process would die with its first connection by TLS. So it looks among its own libraries
    first.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    # macOS has no such flag and needs none: no library sees another's names there.
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | deep)
    try:
        import psycopg2.errors
        import psycopg2.sql
    finally:
        sys.setdlopenflags(before)
    return psycopg2  # type: ignore[no-any-return]
