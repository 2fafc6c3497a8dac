"""The names of the formats that a model is written in: `FORMAT`, or `FORMAT:PRECISION` of its weights.

What writes and runs them is in `boxwright.exporting`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from boxwright.config.fields import UserSettings
from boxwright.errors import did_you_mean

SAVED_MODEL = "saved_model"
FLOAT32, FLOAT16, DYNAMIC_INT8, INT8 = "float32", "float16", "dynamic_int8", "int8"
# Of each format beside the SavedModel, the default first.
PRECISIONS: dict[str, tuple[str, ...]] = {
    "litert": (FLOAT32, FLOAT16, DYNAMIC_INT8, INT8),
    "onnx": (FLOAT32,),
    "openvino": (FLOAT32, FLOAT16, INT8),
}
FORMAT_NAMES = (SAVED_MODEL, *(f"{name}:{precision}" for name, found in PRECISIONS.items() for precision in found))
# Those that `boxwright.exporting` writes beside the archive.
EXPORT_NAMES = tuple(name for name in FORMAT_NAMES if name != SAVED_MODEL)
DEFAULT_FORMATS = (SAVED_MODEL, f"litert:{FLOAT32}")


def full_name(text: str) -> str:
    """A name with its precision: `litert:float32` for `litert`.

    Raises:
        ValueError: there is none of that name; listing those that there are.
    """
    name = f"{text}:{PRECISIONS[text][0]}" if text in PRECISIONS else text
    if name not in FORMAT_NAMES:
        raise ValueError(f"expected {', '.join(FORMAT_NAMES)}, got {text!a}{did_you_mean(text, FORMAT_NAMES)}")
    return name


def _listed(value: Any) -> Any:
    """Names given as text, `saved_model,onnx`, as a list; any other value unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


FormatName = Annotated[
    str, AfterValidator(full_name), WithJsonSchema({"type": "string", "enum": [*FORMAT_NAMES, *PRECISIONS]})
]


class ExportConfig(UserSettings):
    """Formats that a run writes its model in, for programs without Boxwright."""

    formats: Annotated[tuple[FormatName, ...], BeforeValidator(_listed), AfterValidator(_once)] = Field(
        DEFAULT_FORMATS,
        description="Formats to write. saved_model goes into the archive; each of the others becomes a folder beside "
        "it, and is measured on the evaluation images.",
    )
    on_loss: Literal["drop", "fail"] = Field(
        "drop",
        description="Treatment of a format that loses more AP than gate_max_export_loss, or that cannot be written. "
        "drop: the run goes on without it, and says so; fail: the quality gate fails.",
    )

    @property
    def is_default(self) -> bool:
        """Whether the formats are those that nobody asked for by name."""
        return self.formats == DEFAULT_FORMATS

    @property
    def beside_archive(self) -> tuple[str, ...]:
        """The formats without the SavedModel."""
        return tuple(name for name in self.formats if name != SAVED_MODEL)
