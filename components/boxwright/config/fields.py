"""Building blocks of the configuration records: the base class and shared field types."""

from __future__ import annotations

import json
import unicodedata
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
_LONGEST_TEXT = 4096


class Frozen(BaseModel):
    """A record that cannot change and that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class UserSettings(Frozen):
    """A record of what people set: numbers are finite, texts on one line and no longer than a path."""

    model_config = ConfigDict(allow_inf_nan=False, str_max_length=_LONGEST_TEXT)

    @field_validator("*")
    @classmethod
    def _refuse_control_characters(cls, value: Any) -> Any:
        """They are in no URI or name that is meant, and forge lines of a log."""
        if isinstance(value, str) and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            raise ValueError("Text should have no control characters and no broken Unicode")
        return value


# The managed algorithm writes three-valued switches as strings; typed values are taken as well.
def _switch(value: Any) -> Any:
    return str(value).capitalize() if isinstance(value, bool | str) else value


Switch = Annotated[Literal["Auto", "True", "False"], BeforeValidator(_switch)]


def pairs(value: Any) -> Any:
    """An object given as text, `a=off,b=error` or JSON, as a dictionary; any other value unchanged."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    split = (pair.partition("=") for pair in value.split(",") if pair.strip())
    return {name.strip(): content.strip() for name, _, content in split}


def off_is_unset(value: Any) -> Any:
    """None for `off`, which is how a command line says "not set"; any other value unchanged."""
    return None if value == "off" else value
