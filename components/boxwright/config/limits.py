"""The lists in which an administrator says what a run may name.

Who starts a run in Airflow acts with the rights of its workers: their files, their credentials, their network. A field
of a configuration record that names something of theirs says so with one of these, and `boxwright.storage.Allowed` is
what holds its value against the list.
"""

from __future__ import annotations

from enum import StrEnum


class Limit(StrEnum):
    """An administrator's list; its value is the environment variable that holds it."""

    URIS = "BOXWRIGHT_ALLOWED_URIS"
    ENDPOINTS = "BOXWRIGHT_ALLOWED_ENDPOINTS"
    CONNECTIONS = "BOXWRIGHT_ALLOWED_CONNECTIONS"
    ROLES = "BOXWRIGHT_ALLOWED_ROLES"
